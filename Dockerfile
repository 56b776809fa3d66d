# A fitted router as a container: docker build -t llmrouterbench . ; then see compose.yaml.
FROM python:3.12-slim
RUN useradd --create-home --uid 10001 router && install -d -o router /logs
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir ".[serve]" && rm -rf /source
USER router
WORKDIR /home/router
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["llmrouterbench"]
CMD ["serve", "/router", "--config", "/providers.yaml", "--host", "0.0.0.0", "--port", "8080", "--log", "/logs"]
