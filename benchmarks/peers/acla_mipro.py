"""dspy.MIPROv2 on one cell: its own bootstrapping, proposer and Bayesian search; our messages and parser for the task."""

import types
from importlib.metadata import version

import dspy
from acla_client import AT_ONCE, CapReached, answer, messages_of, package_text, parse_answer
from dspy.utils.exceptions import AdapterParseError


class Line(dspy.BaseLM):
    """The metered model for dspy, without its cache and without retries. ``purpose`` fixes tokens and temperature for all arms."""

    def __init__(self, client, purpose):
        super().__init__(
            "local", cache=False, num_retries=0, temperature=0.0 if purpose == "task" else 1.0, max_tokens=8
        )
        self.client, self.purpose = client, purpose

    def forward(self, prompt=None, messages=None, **kwargs):
        """One counted call, in the shape of an OpenAI reply."""
        said = messages or [{"role": "user", "content": prompt}]
        text = self._text([{"role": one["role"], "content": one["content"]} for one in said])
        message = types.SimpleNamespace(content=text, role="assistant", tool_calls=None)
        choice = types.SimpleNamespace(message=message, finish_reason="stop", index=0)
        return types.SimpleNamespace(choices=[choice], usage={}, model="local")

    def _text(self, messages):
        if self.purpose == "proposer" and self.client.rewrites:
            return self.client.write("")
        return self.client.ask(messages, self.purpose)

    def copy(self, **kwargs):
        """Itself: other temperatures are not taken over, they are fixed for all arms."""
        return self


class Plain(dspy.ChatAdapter):
    """Our messages for the task's signature; dspy's own for the proposer, whose replies count as a whole where they are not marked."""

    def __init__(self, labels):
        super().__init__(use_json_adapter_fallback=False)
        self.labels = labels

    def format(self, signature, demos, inputs):
        """System message, examples as turns, user message: those of all arms, rendered from the same text."""
        if "task_label" not in signature.output_fields:
            return super().format(signature, demos, inputs)
        shown = [(one["text"], one["task_label"]) for one in demos]
        return messages_of(package_text(signature.instructions, shown), inputs["text"])

    def parse(self, signature, completion):
        """The label, or the text of a proposer."""
        if "task_label" in signature.output_fields:
            return {"task_label": parse_answer(completion, self.labels) or ""}
        try:
            return super().parse(signature, completion)
        except AdapterParseError:
            # A small model seldom writes the markers that dspy asks for; its text is taken as it is.
            return dict.fromkeys(signature.output_fields, completion.strip())


def program_text(program):
    predictor = program.predictors()[0]
    shown = [(one["text"], one["task_label"]) for one in predictor.demos]
    return package_text(predictor.signature.instructions, shown)


def optimize(client, question):
    settings = question["settings"]
    items = [
        dspy.Example(text=text, task_label=label).with_inputs("text")
        for text, label in question["train"] + question["val"]
    ]
    val, train = items[-settings["val_count"] :], items[: -settings["val_count"]]
    task, author = Line(client, "task"), Line(client, "proposer")
    dspy.configure(lm=task, adapter=Plain(question["labels"]))
    signature = dspy.Signature("text -> task_label", question["seed_prompt"])
    optimizer = dspy.MIPROv2(
        metric=lambda example, said, trace=None: float(example.task_label == said.task_label),
        prompt_model=author, task_model=task, auto=None, num_candidates=settings["candidates"],
        max_bootstrapped_demos=settings["demos"], max_labeled_demos=settings["demos"], num_threads=AT_ONCE, seed=question["seed"] + 1,
    )  # fmt: skip
    ended = "finished"
    student = dspy.Predict(signature)
    try:
        student = optimizer.compile(
            student, trainset=train, valset=val, num_trials=settings["trials"], minibatch=True,
            minibatch_size=settings["minibatch"],
        )  # fmt: skip
    except CapReached:
        # MIPROv2 has no state that could be read from outside: what it had found is lost.
        ended = "cap, seed returned"
    package, score = program_text(student), getattr(student, "score", None)
    reported = None if score is None else score / 100.0
    if client.refused and ended == "finished":
        ended = "cap"
    return {"package": package, "reported": reported, "trace": [{"calls": client.calls, "package": package, "reported": reported}],
            "ended": ended, "version": version("dspy")}  # fmt: skip


if __name__ == "__main__":
    answer(optimize)
