"""The same model in MLServer, in MLServer's own environment: the class that its `model-settings.json` names."""

import os

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxModel(MLModel):  # type: ignore[misc]  # MLServer is in an environment of its own
    """Decodes and encodes as MLServer's own runtimes do."""

    async def load(self) -> bool:
        """Open the session on one thread."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = os.environ["LOADPLAN_MODEL"]
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """One request, one inference."""
        x = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32)
        (y,) = self._session.run(["y"], {"x": x})
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", y)])
