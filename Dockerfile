# One file, a target per service: docker build --target gateway .   (docker compose does it for all of them)
#
#   TORCH_INDEX   for the trainer: pip index of PyTorch's CPU builds ("Get started" on PyTorch's site gives it). Without
#                 it the trainer gets the ordinary torch, which works with a GPU and is several GB large.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 HOME=/tmp
WORKDIR /app
# The folders that volumes are mounted on belong to the user, and so does a new volume.
RUN useradd --uid 10001 --no-create-home --home-dir /tmp halfface \
 && install -d -o halfface -g halfface /app/data /app/models /app/runs
# Dependencies come before code: this project is installed without any of its packages, for what it depends on.
COPY pyproject.toml constraints.txt LICENSE ./
RUN touch README.md && pip install -c constraints.txt . && rm -r build *.egg-info

FROM base AS inference
RUN pip install -c constraints.txt '.[inference]' && rm -r build *.egg-info
COPY --chown=halfface shared shared
COPY --chown=halfface services/__init__.py services/
COPY --chown=halfface services/inference services/inference
USER halfface
ENV INFERENCE_HOST=0.0.0.0
EXPOSE 5000
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 \
  CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:5000/readyz', timeout=4)"]
CMD ["python", "-m", "services.inference"]

FROM base AS gateway
RUN pip install -c constraints.txt '.[gateway]' && rm -r build *.egg-info
COPY --chown=halfface shared shared
COPY --chown=halfface services/__init__.py services/
COPY --chown=halfface services/gateway services/gateway
USER halfface
ENV GATEWAY_HOST=0.0.0.0
EXPOSE 5001
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 \
  CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:5001/healthz', timeout=4)"]
CMD ["python", "-m", "services.gateway"]

FROM base AS frontend
RUN pip install -c constraints.txt '.[frontend]' && rm -r build *.egg-info
COPY --chown=halfface shared shared
COPY --chown=halfface services/__init__.py services/
COPY --chown=halfface services/frontend services/frontend
USER halfface
ENV FRONTEND_HOST=0.0.0.0
EXPOSE 8501
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 \
  CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["python", "-m", "services.frontend"]

FROM base AS trainer
# Training on a CPU spends much of its time in the C library's allocator; with this one it is about a quarter faster.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libtcmalloc-minimal4 >/dev/null \
 && rm -rf /var/lib/apt/lists/*
ARG TORCH_INDEX=
RUN pip install -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} '.[trainer]' \
 && rm -r build *.egg-info
COPY --chown=halfface shared shared
COPY --chown=halfface trainer trainer
USER halfface
ENV LD_PRELOAD=libtcmalloc_minimal.so.4
# Healthy while a worker of this container is registered at the queue.
HEALTHCHECK --interval=30s --timeout=20s --start-period=120s --retries=3 \
  CMD python -c "import socket, sys; from redis import Redis; from rq import Worker; \
      workers = Worker.all(connection=Redis.from_url('$TRAINER_REDIS_URL')); \
      sys.exit(not any(worker.hostname == socket.gethostname() for worker in workers))"
CMD ["python", "-m", "trainer", "worker"]
