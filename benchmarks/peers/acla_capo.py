"""CAPO (promptolution) on one cell: its own evolution and racing; our messages and parser."""

import random
from importlib.metadata import version

import numpy as np
import pandas as pd
import promptolution.utils.capo_utils as capo_utils
import promptolution.utils.prompt as prompts
from acla_client import answer, package_text, parse_answer
from promptolution.llms.base_llm import BaseLLM
from promptolution.optimizers import CAPO
from promptolution.predictors.base_predictor import BasePredictor
from promptolution.tasks import ClassificationTask
from promptolution.utils.callbacks import BaseCallback
from promptolution.utils.prompt_creation import create_prompt_variation

MARK = "\n\nExamples:\n\n"


class Line(BaseLLM):
    """The metered model as an author."""

    def __init__(self, client):
        super().__init__()
        self.client = client

    def _get_response(self, briefs, system_prompts):
        return [self.client.write(brief) for brief in briefs]


class Predictor(BasePredictor):
    """Our messages and our parser instead of the package's: a prompt is taken apart, its examples become turns."""

    def __init__(self, llm):
        super().__init__(llm)
        self.classes = llm.client.labels
        self.extraction_description = f"The labels are {', '.join(self.classes)}; the one that the reply names counts."

    def predict(self, prompts, xs, system_prompts=None):
        """Labels, and the replies as the package keeps them."""
        said = [prompts] if isinstance(prompts, str) else prompts
        texts = self.llm.client.replies([rendered(one, self.classes) for one in said], xs)
        return self._extract_preds(texts), [f"{x}\n{text}" for x, text in zip(xs, texts, strict=True)]

    def _extract_preds(self, preds):
        # The package compares with labels that it has written small.
        return [(parse_answer(text, self.classes) or "").lower() for text in preds]


def rendered(text, labels):
    """CAPO's prompt text (instruction, examples) in the form of all arms, its labels as they are written in the data."""
    written = {label.lower(): label for label in labels}
    instruction, _, shown = text.partition(MARK)
    pairs = [
        one.removeprefix("Input: ").partition("\nAnswer: ")[::2] for one in shown.split("\n\n") if "\nAnswer: " in one
    ]
    return package_text(instruction, [(text, written.get(" ".join(label.split()), label)) for text, label in pairs])


class Trace(BaseCallback):
    """Keeps the leader after each step. The step that the cap breaks off is lost, as in the package."""

    def __init__(self, client, calls_max):
        self.client, self.calls_max, self.points = client, calls_max, []

    def on_step_end(self, optimizer):
        """Note the leader."""
        self.points.append(
            {
                "calls": self.client.calls,
                "package": rendered(str(optimizer.prompts[0]), self.client.labels),
                "reported": float(optimizer.scores[0]),
            }
        )
        return self.client.calls < self.calls_max


def optimize(client, question):
    settings = question["settings"]
    random.seed(question["seed"])
    np.random.seed(question["seed"])
    # Only the way examples are written: the templates of the package would be a scaffold of their own.
    capo_utils.CAPO_FEWSHOT_TEMPLATE = "Input: <input>\nAnswer: <output>"
    prompts.DOWNSTREAM_TEMPLATE_W_FEWSHOTS = "<instruction>" + MARK + "<few_shots>"
    frame = pd.DataFrame(question["train"] + question["val"], columns=["x", "y"])
    frame["x"] = [" ".join(text.split()) for text in frame["x"]]
    llm = Line(client)
    task = ClassificationTask(
        frame, task_description=question["seed_prompt"], n_subsamples=settings["block"], seed=question["seed"]
    )
    variations = create_prompt_variation([question["seed_prompt"]] * (settings["population"] - 1), llm)
    trace = Trace(client, question["calls_max"])
    optimizer = CAPO(
        predictor=Predictor(llm), task=task, meta_llm=llm, initial_prompts=[question["seed_prompt"], *variations],
        crossovers_per_iter=settings["crossovers"], max_n_blocks_eval=settings["blocks"], upper_shots=settings["shots"],
        create_fs_reasoning=settings["reasoning"], callbacks=[trace],
    )  # fmt: skip
    optimizer.optimize(n_steps=settings["steps"])
    start = {"calls": 0, "package": question["seed_prompt"], "reported": None}
    best = trace.points[-1] if trace.points else start
    return {"package": best["package"], "reported": best["reported"], "trace": trace.points, "version": version("promptolution"),
            "steps": len(trace.points)}  # fmt: skip


if __name__ == "__main__":
    answer(optimize)
