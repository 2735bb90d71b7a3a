# A server of translations; docs/serving.md says how to build and to run it.
FROM python:3.12-slim-bookworm

# PyTorch's wheel for CPUs is a small part of the one with CUDA. Its version is that of constraints.txt.
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch==2.13.0

COPY pyproject.toml constraints.txt README.md LICENSE /neuronspec/
COPY recipes /neuronspec/recipes
COPY src /neuronspec/src
RUN pip install --no-cache-dir --constraint /neuronspec/constraints.txt '/neuronspec[deploy,serve]' \
    && useradd --system --no-create-home --uid 10001 neuronspec

# Nothing is downloaded at run time.
ENV HF_HUB_OFFLINE=1
USER 10001
EXPOSE 8000
HEALTHCHECK --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=5)"]
ENTRYPOINT ["neuronspec", "serve", "/model", "--host", "0.0.0.0", "--port", "8000"]
