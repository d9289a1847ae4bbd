"""One local model behind OpenAI's protocol for all arms of a comparison: a server that is also their meter.

    python -m benchmarks.llm_server --port 8765 --record FILE [--replay-only]
        [--provider transformers] [--model PATH] [--threads 1] [--batch 32] [--temperature 1.0]

It listens on 127.0.0.1 only. Base URL for SDKs: ``http://127.0.0.1:8765/v1``. Any model name is taken (one model answers).

**Tag.** The Bearer key of a request is its tag, ``arm:task:seed:phase`` by convention, any text in fact; without one: ``untagged``.

**``POST /v1/chat/completions``**: ``messages`` (text, or a list of text parts), ``max_tokens`` or ``max_completion_tokens`` (neither:
512), ``temperature`` (none: 1, as the protocol has it, unless ``--temperature`` says otherwise), ``seed``, ``stop`` (text or list),
``n``, ``logprobs`` and ``top_logprobs`` (of the first token only, 0 … 1,000 most probable ones of the whole vocabulary), ``usage``
in the reply. ``stream`` is refused with 400; other fields are ignored. The header ``x-purpose`` (``task`` or ``proposer``) says what
a call is for; without it a call of at most 16 tokens is a ``task``.

**Recorded responses.** Every answer is kept by the digest of what was asked (messages, limit, temperature, stop, sample) and served
again, to any tag: the model becomes a function, although batches in bfloat16 can flip near ties. Equal requests at the same time
are asked once. At temperature 0 the sample is 0. A sampled request with a ``seed`` has the sample ``1024 * seed + i`` for choice i of
``n``. One without a seed is numbered among the equal ones of its tag since the server started, so that an arm gets new draws within
a run and the same ones when it is run again on a fresh server with the same file.
A served recording is a call like any other: it is counted, and only saves wall time.

**``GET /v1/models``**: the one model.

**``POST /caps`` ``{"TAG": n}``**: at most n calls for a tag (``null`` lifts the cap). Beyond it: HTTP 429, ``{"error": {"type":
"insufficient_quota", "code": "insufficient_quota", "message": …}}`` and ``x-should-retry: false``, which OpenAI's SDKs obey. Calls in
flight count. Answers with all caps. Caps are kept in FILE.

**``GET /meter?tag=TAG``**: ``{"tag", "cap", "calls", "prompt_tokens", "completion_tokens", "wall_s", "cached", "purposes": {"task":
{"calls", "prompt_tokens", "completion_tokens", "wall_s", "cached"}, "proposer": {…}}}``; without ``tag``: ``{"tags": [such, …]}``.
A call is one completion: ``n`` choices are n calls, the prompt's tokens count once. A refused or failed request is no call.
**``DELETE /meter?tag=TAG``** forgets the calls of a tag (its cap stays).

**``--replay-only``**: answers only from the recordings in FILE, without loading any model; what is not there is HTTP 404 with
``{"error": {"type": "not_recorded", …}}``.

FILE is SQLite: ``calls`` (tag, purpose, prompt_tokens, completion_tokens, wall_s, at, digest, cached), ``recordings``, ``caps``
and ``served``. In a test or a program: `application.application(llm, Records(FILE, llm.model))` is the ASGI application.
"""
