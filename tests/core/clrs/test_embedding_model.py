"""Sentence embeddings under an online head: what is particular to them (the contract of all models is in test_models)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from meta_learning.clrs import ClosedLoopSystem, EmbeddingModel, load_model
from meta_learning.clrs.models.embedding.encoder import SentenceEncoder, WordHashEncoder
from meta_learning.errors import ConfigurationError, MalformedState
from tests.core.clrs.streams import labelled


def test_it_runs_through_the_gates_of_the_closed_loop_and_is_restored() -> None:
    system = ClosedLoopSystem(model=EmbeddingModel(WordHashEncoder()), cycle_size=100)
    for asked, answered, score in labelled(800):
        system.collect_feedback(asked, answered, score)
    assert system.champion_version is not None
    snapshot = system.snapshot()
    again = ClosedLoopSystem.restore(snapshot.state, snapshot.blobs.__getitem__, cycle_size=100)
    for asked, answered, score in labelled(100, seed=5):
        told = [part.collect_feedback(asked, answered, score) for part in (system, again)]
    assert told[0] == told[1] is not None
    assert again.candidate_version == system.candidate_version


def test_copies_share_the_encoder() -> None:
    model = EmbeddingModel(WordHashEncoder())
    assert model.copy().encoder is model.encoder


def test_a_head_is_refused_on_another_encoder() -> None:
    blob = EmbeddingModel(WordHashEncoder(32)).dump()
    with pytest.raises(MalformedState, match="trained on"):
        EmbeddingModel.load(blob, WordHashEncoder(16))


def test_a_head_beside_a_model_on_another_encoder_opens_its_own_and_shares_an_equal_one() -> None:
    mine, other = EmbeddingModel(WordHashEncoder(32)), EmbeddingModel(WordHashEncoder(16))
    assert load_model(mine.dump(), like=other).version() == mine.version()
    again = load_model(mine.dump(), like=mine)
    assert isinstance(again, EmbeddingModel)
    assert again.encoder is mine.encoder


def test_scalar_scores_come_out_calibrated() -> None:
    model = EmbeddingModel(WordHashEncoder())
    draws = np.random.default_rng(0)
    for _ in range(20):
        pairs = [
            (f"{('poor', 'fine')[n % 2]} w{draws.integers(30)}", "a long enough answer to this") for n in range(50)
        ]
        model.learn(pairs, np.array([(0.4, 0.7)[n % 2] for n in range(50)]))
    found = model.predict(pairs)
    assert abs(found[1::2].mean() - 0.7) < 0.05
    assert abs(found[::2].mean() - 0.4) < 0.05


def test_an_encoder_that_is_nowhere_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        EmbeddingModel(tmp_path / "nothing")


def test_importing_the_loop_loads_none_of_the_extras() -> None:
    said = "import sys, meta_learning.clrs; print([m for m in ('torch', 'transformers', 'safetensors') if m in sys.modules])"
    root = Path(__file__).parents[3]
    ran = subprocess.run([sys.executable, "-c", said], cwd=root / "shared", capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_packaged_encoder_knows_meaning_without_a_common_word() -> None:
    pytest.importorskip("sentence_transformers", reason="needs the extra embeddings")
    try:
        encoder = SentenceEncoder.open(device="cpu")
    except ConfigurationError as error:
        pytest.skip(str(error))
    model = EmbeddingModel(encoder)
    good = ["I love this film", "What a wonderful day", "She was delighted"]
    bad = ["I hate this film", "What a horrible day", "She was furious"]
    for _ in range(10):
        model.learn([(text, "liked") for text in good + bad], np.array([1.0] * 3 + [0.0] * 3))
    happy, sad = model.predict([("We are really happy about it", "liked"), ("It makes us angry and sad", "liked")])
    assert happy > sad
    assert load_model(model.dump()).version() == model.version()
    assert SentenceEncoder.open(device="cpu") is encoder
