"""The program that torchrun starts twice: learn together, and write down what came of it. Argument: the folder to write to.

Once with free answers, whose reference point is estimated, and once among labels, where it is computed.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np

from meta_learning.clrs.models.language.language_model import LanguageModel
from meta_learning.clrs.models.language.replicas import JoinedReplicas
from tests.core.clrs.test_language_labels import SETTINGS as AMONG_LABELS
from tests.core.clrs.test_language_model import SETTINGS, lessons
from tests.core.clrs.tiny_language import tiny_base


def main() -> None:
    torch = importlib.import_module("torch")  # an extra: this file is collected and typed where there is none

    torch.distributed.init_process_group("gloo")
    replicas = JoinedReplicas()
    for name, settings in {"free": SETTINGS, "labels": AMONG_LABELS}.items():
        model = LanguageModel(tiny_base(), settings, replicas)
        for cycle in range(3):
            model.learn(*lessons(40, cycle))
        scores = model.predict(lessons(21, 9)[0])
        np.savez(Path(sys.argv[1]) / f"{name}{replicas.rank}.npz", scores=scores, version=np.array(model.version()))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
