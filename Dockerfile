# docker build -t srdscan .
# docker run --rm --network none -v "$PWD/data:/data:ro" -v "$PWD/out:/out" srdscan audit /data --out /out/run
FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/srdscan \
    && /opt/srdscan/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt \
       --extra-index-url https://download.pytorch.org/whl/cpu .

FROM python:3.12-slim
RUN useradd --uid 10001 --no-log-init --create-home srdscan \
    && install -d -o srdscan /out
COPY --from=build /opt/srdscan /opt/srdscan
ENV PATH=/opt/srdscan/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 \
    TRANSFORMERS_OFFLINE=1
USER 10001
WORKDIR /out
ENTRYPOINT ["srdscan"]
CMD ["--help"]
