# llmrouterbench serve in a container. Build: docker build -t llmrouterbench . ; see docs/serving.md.
FROM python:3.11-slim
RUN useradd --create-home router && mkdir /log && chown router /log
COPY pyproject.toml README.md LICENSE /source/
COPY src /source/src
RUN pip install --no-cache-dir "/source[serve,redis,postgres]"
USER router
WORKDIR /home/router
EXPOSE 8080
VOLUME /log
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/healthz', timeout=5)"]
ENTRYPOINT ["llmrouterbench"]
CMD ["serve", "/router", "--config", "/config/serve.yaml", "--host", "0.0.0.0", "--port", "8080", "--log", "/log"]
