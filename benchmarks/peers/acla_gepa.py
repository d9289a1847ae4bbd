"""gepa.optimize on one cell: its own loop and acceptance; our messages, parser and feedback; several calls at once."""

from importlib.metadata import version

import gepa
from acla_client import CapReached, answer, parse_answer
from gepa.adapters.default_adapter.default_adapter import DefaultAdapter, EvaluationResult

MINIBATCH = 3


class Adapter(DefaultAdapter):
    """The default adapter, asking a batch at once; remembers every full validation, so that there is an anytime curve."""

    def __init__(self, client, val_count):
        self.client = client
        self.val_count = val_count
        self.trace = []
        self.full_calls = 0
        super().__init__(model=lambda messages: self._replies.pop(0), evaluator=self._judge)

    def evaluate(self, batch, candidate, capture_traces=False):
        """The base class judges; the replies are asked for at once."""
        package = candidate["system_prompt"]
        before = self.client.calls
        self._replies = self.client.replies([package] * len(batch), [one["input"] for one in batch])
        judged = super().evaluate(batch, candidate, capture_traces)
        if len(batch) == self.val_count:
            self.full_calls = self.client.calls - before
            score = sum(judged.scores) / len(judged.scores)
            if not self.trace or score > self.trace[-1]["reported"]:
                self.trace.append({"calls": self.client.calls, "package": package, "reported": score})
        return judged

    def _judge(self, data, response):
        said = parse_answer(response, self.client.labels)
        right = said == data["answer"]
        feedback = (
            f"Correct: the answer is '{data['answer']}'."
            if right
            else f"Wrong: the correct answer is '{data['answer']}', the reply was read as {said!r}."
        )
        return EvaluationResult(float(right), feedback, None)


def rows(items):
    return [{"input": text, "additional_context": {}, "answer": label} for text, label in items]


def optimize(client, question):
    settings, items = question["settings"], question["train"] + question["val"]
    val, train = items[-settings["val_count"] :], items[: -settings["val_count"]]
    adapter = Adapter(client, len(val))
    # An iteration may cost two minibatches, one reflection and one validation: stop where it would not fit any more.
    whole = 2 * MINIBATCH + 1 + len(val)
    ended = "finished"
    try:
        gepa.optimize(
            seed_candidate={"system_prompt": question["seed_prompt"]},
            trainset=rows(train),
            valset=rows(val),
            adapter=adapter,
            reflection_lm=lambda prompt: client.write(prompt if isinstance(prompt, str) else prompt[-1]["content"]),
            reflection_minibatch_size=MINIBATCH,
            stop_callbacks=[lambda state: client.calls + whole > question["calls_max"]],
            cache_evaluation=False,
            seed=question["seed"],
        )
    except CapReached:
        ended = "cap"
    best = adapter.trace[-1]
    return {"package": best["package"], "reported": best["reported"], "trace": adapter.trace, "ended": ended,
            "version": version("gepa")}  # fmt: skip


if __name__ == "__main__":
    answer(optimize)
