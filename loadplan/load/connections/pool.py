"""Open connections with room for a request. Requests never wait for one: the pool grows with the backlog."""

from collections import deque

from loadplan.load.connections.connection import Connection


class ConnectionPool:
    """Of the open connections those that take a request now; what was closed meanwhile is passed over."""

    def __init__(self, *, n_regular: int) -> None:
        self._most_regular = n_regular
        self._n_regular = 0  # open connections that are none of the reserve
        # First in, first out: all connections, so all workers of a server, get a share.
        self._regular: deque[Connection] = deque()
        # Last in, first out, and only while the others are busy: once the backlog is gone nobody comes over these, as
        # requests that come over a thousand connections in turn cost the server more than over few.
        self._reserve: list[Connection] = []

    @property
    def is_full(self) -> bool:
        """Whether the next connection is one of the reserve."""
        return self._n_regular >= self._most_regular

    def count_in(self, connection: Connection) -> None:
        """One that was opened."""
        self._n_regular += not connection.is_reserve

    def count_out(self, connection: Connection) -> None:
        """One that is closed."""
        self._n_regular -= not connection.is_reserve

    def take(self) -> Connection | None:
        """One with room; None: every one is busy."""
        while self._regular or self._reserve:
            connection = self._regular.popleft() if self._regular else self._reserve.pop()
            connection.is_pooled = False
            if connection.is_open and connection.wire.has_room:
                return connection
        return None

    def put(self, connection: Connection) -> None:
        """Keep it for a request, where it has room for one."""
        if connection.wire.has_room and not connection.is_pooled:
            connection.is_pooled = True
            (self._reserve if connection.is_reserve else self._regular).append(connection)
