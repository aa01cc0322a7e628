"""The words of the page, each in one sentence."""

from loadplan.report.page import Facts

GLOSSARY = Facts(
    rows=(
        ("offered rate", "arrivals per second asked of the system, whatever it answers"),
        ("response time", "due time to last byte: what the caller feels, the generator's lateness included"),
        ("service time", "a replica works on a batch, without any queue"),
        ("send delay", "sent minus due: the load generator's own lateness"),
        ("p99", "99 of 100 requests were at least as fast; nearest rank, never of fewer than 459 requests"),
        ("usable capacity", "the highest offered rate at which every objective still holds; plans are sized on it"),
        ("replica", "one machine of an offer, running one server that fills its cores"),
        ("spare replicas", "replicas that may be gone while every objective still holds"),
        ("headroom", "the share of usable capacity that stays free at the peak"),
        ("undisturbed", "windows of 100 ms in which neighbours took no time from the generator's core"),
        ("measured", "counted or timed on the machine named on this page"),
        ("simulated", "computed by a law that was fitted to measurements of that machine"),
        ("extrapolated", "taken to hardware on which nothing was measured"),
        ("given", "stated by the scenario or by a file that came with it"),
        ("assumed", "believed without a measurement; listed with its source"),
        ("PASS, FAIL", "whether every objective held over all requests of a live run"),
        ("INVALID", "the load generator did not do its part, so the run proves nothing and shows no latency"),
    )
)
