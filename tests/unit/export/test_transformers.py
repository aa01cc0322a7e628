"""Text encoders of transformers: each sentence gets the vector that the model gives it alone, whatever its company."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadplan.errors import InputError
from loadplan.execution import ExecutionConfig
from loadplan.export.source import Conversion, TextEncoder, TrainedModel
from loadplan.inference import open_session, run

MISSING = "needs the extra transformers, which `make test-all` installs"
torch = pytest.importorskip("torch", reason=MISSING)
transformers = pytest.importorskip("transformers", reason=MISSING)
tokenizers = pytest.importorskip("tokenizers", reason=MISSING)

from loadplan.export.transformers import convert  # noqa: E402  # needs transformers

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "a", "cat", "sat", "on", "the", "mat"]
SENTENCES = ["a cat", "the cat sat on the mat", "sat", "the mat", "a cat sat on a mat on the mat"]
LENGTHS = [4, 8, 3, 4, 11]  # with [CLS] and [SEP]


def tokenizer(*, ends: str = "[CLS] $A [SEP]", **rest: Any) -> Any:
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.post_processor = tokenizers.processors.TemplateProcessing(
        single=ends, special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"], "model_max_length": 12, **rest}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", **names)


def bert(**config: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return transformers.BertModel(transformers.BertConfig(vocab_size=len(WORDS), **sizes, **config)).eval()


def encoder(**rest: Any) -> TextEncoder:
    parts = {"model": bert(), "tokenizer": tokenizer(), "pooling": "mean", "is_normalised": False, **rest}
    return TextEncoder(**parts)


def exported(estimator: Any, sentences: list[str] = SENTENCES) -> Conversion:
    return convert(TrainedModel(estimator=estimator, rows=sentences), where="shop_model:build")


def hidden(given: TextEncoder, sentence: str) -> Any:
    """(n_positions, n_dimensions) of one sentence by itself."""
    with torch.no_grad():
        return given.model(**given.tokenizer(sentence, return_tensors="pt")).last_hidden_state[0].numpy()


def ask(conversion: Conversion, folder: Path) -> Any:
    """What ONNX Runtime answers to all sentences at once, padded to the longest."""
    (folder / "fp32.onnx").write_bytes(conversion.onnx)
    session = open_session(folder / "fp32.onnx", ExecutionConfig(variant="fp32"))
    return run(session, conversion.inputs)["embedding"]


def test_a_sentence_is_the_mean_of_its_positions_padded_or_alone(tmp_path: Path) -> None:
    given = encoder()
    conversion = exported(given)
    means = np.stack([hidden(given, sentence).mean(axis=0) for sentence in SENTENCES])
    assert np.allclose(conversion.answers["embedding"], means, atol=1e-5)
    assert np.allclose(ask(conversion, tmp_path), means, atol=1e-5)
    assert conversion.lengths is not None
    assert conversion.lengths.tolist() == LENGTHS
    assert conversion.inputs["input_ids"][2].tolist() == [1, 6, 2, *[0] * 8]
    assert conversion.inputs["attention_mask"].sum(axis=1).tolist() == LENGTHS
    assert list(conversion.inputs) == ["input_ids", "attention_mask"] == list(conversion.sequences)
    assert conversion.note == "BertModel pooled by mean"
    assert [caveat.code for caveat in conversion.caveats] == ["export.tokens_on_client"]


def test_a_sentence_may_be_its_first_position_brought_to_length_1(tmp_path: Path) -> None:
    given = encoder(pooling="cls", is_normalised=True)
    firsts = np.stack([hidden(given, sentence)[0] for sentence in SENTENCES])
    conversion = exported(given)
    assert np.allclose(ask(conversion, tmp_path), firsts / np.linalg.norm(firsts, axis=1, keepdims=True), atol=1e-5)
    assert conversion.note == "BertModel pooled by cls, normalised"


def test_token_types_other_than_0_are_sent(tmp_path: Path) -> None:
    given = encoder(tokenizer=tokenizer(ends="[CLS]:1 $A:1 [SEP]:1"))
    conversion = exported(given)
    assert conversion.inputs["token_type_ids"].sum(axis=1).tolist() == LENGTHS
    means = np.stack([hidden(given, sentence).mean(axis=0) for sentence in SENTENCES])
    assert np.allclose(ask(conversion, tmp_path), means, atol=1e-5)


def test_a_model_without_a_mask_gets_none() -> None:
    def forward(self: Any, input_ids: Any) -> Any:
        return transformers.BertModel.forward(self, input_ids=input_ids)

    maskless = type("Maskless", (transformers.BertModel,), {"forward": forward})
    given = encoder(model=maskless(bert().config).eval())
    conversion = exported(given)
    assert list(conversion.inputs) == ["input_ids"]
    with torch.no_grad():
        alone = given.model(torch.tensor([[1, 6, 2]])).last_hidden_state[0].mean(dim=0).numpy()
    assert np.allclose(conversion.answers["embedding"][2], alone, atol=1e-5)


@pytest.mark.parametrize(("max_tokens", "longest", "n_cut"), [(None, 11, 0), (8, 8, 1), (5, 5, 2)])
def test_sentences_beyond_the_limit_are_cut_and_counted(max_tokens: int | None, longest: int, n_cut: int) -> None:
    conversion = exported(encoder(max_tokens=max_tokens))
    assert conversion.inputs["input_ids"].shape == (5, longest)
    assert [caveat.number for caveat in conversion.caveats[1:]] == [n_cut] * bool(n_cut)


def test_a_model_left_in_training_mode_answers_as_in_evaluation_mode() -> None:
    given = encoder()
    means = np.stack([hidden(given, sentence).mean(axis=0) for sentence in SENTENCES])
    given.model.train()
    conversion = exported(given)
    assert np.allclose(conversion.answers["embedding"], means, atol=1e-5)
    assert conversion.note == "BertModel pooled by mean, put from training into evaluation mode"


def t5() -> Any:
    config = transformers.T5Config(vocab_size=10, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    return transformers.T5Model(config).eval()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (bert, "BertModel is not a TextEncoder"),
        (lambda: encoder(model=torch.nn.Linear(2, 2)), "Linear is not a PreTrainedModel of transformers"),
        (lambda: encoder(tokenizer=str.split), "is not a PreTrainedTokenizerBase of transformers"),
        (lambda: encoder(pooling="max"), "there is no pooling 'max'"),
        (lambda: encoder(max_tokens=13), "max_tokens is 13; the model's own maximum is 12"),
        (lambda: encoder(max_tokens=1), "max_tokens is 1; the model's own maximum is 12"),
        (
            lambda: encoder(model=bert(max_position_embeddings=9), max_tokens=10),
            "max_tokens is 10; the model's own maximum is 9",
        ),
        (lambda: encoder(model=t5()), "T5Model is an encoder and a decoder"),
        (
            lambda: encoder(model=transformers.BertForMaskedLM(bert().config).eval()),
            "BertForMaskedLM answers without last_hidden_state",
        ),
        (
            lambda: encoder(model=transformers.BertModel(transformers.BertConfig(vocab_size=2)).eval()),
            "BertModel refuses a tokenised sentence: IndexError",
        ),
    ],
)
def test_what_is_no_text_encoder_has_a_message_of_its_own(make: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        exported(make())
    assert said in caught.value.what
    assert caught.value.where == "shop_model:build"


def test_the_encoder_of_an_encoder_and_decoder_will_do(tmp_path: Path) -> None:
    given = encoder(model=t5().get_encoder(), max_tokens=12)
    with torch.no_grad():
        ids = given.tokenizer("sat", return_tensors="pt")
        alone = given.model(input_ids=ids["input_ids"]).last_hidden_state[0].mean(dim=0).numpy()
    assert np.allclose(ask(exported(given), tmp_path)[2], alone, atol=1e-5)
