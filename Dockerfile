# Chatterbox.Net service. CPU by default; for an NVIDIA GPU:  docker build --build-arg TorchBackend=cuda -t chatterbox .
# The CUDA libraries come with the TorchSharp-cuda-linux package (CUDA 12.8), the driver from the host: 570 or newer.
# libmp3lame (0.5 MB) encodes MP3. ffmpeg, some 0.47 GB with its libraries, is for AAC and rarer recordings:  --build-arg WithFfmpeg=true
ARG TorchBackend=cpu
ARG WithFfmpeg=false

FROM mcr.microsoft.com/dotnet/sdk:10.0-noble AS build
ARG TorchBackend
WORKDIR /source
# Restore first, to the locked versions (CI=true): this layer is kept while only code changes.
COPY global.json Directory.Build.props Directory.Build.targets Directory.Packages.props .editorconfig ./
COPY build/ build/
COPY src/Chatterbox.Net/*.csproj src/Chatterbox.Net/packages.lock.json src/Chatterbox.Net/
COPY src/Service/*.csproj src/Service/packages.lock.json src/Service/
RUN CI=true dotnet restore src/Service -p:TorchBackend=$TorchBackend
COPY src/ src/
RUN dotnet publish src/Service -c Release --no-restore -p:TorchBackend=$TorchBackend -o /app

FROM mcr.microsoft.com/dotnet/aspnet:10.0-noble
ARG WithFfmpeg
RUN apt-get update \
    && if [ "$WithFfmpeg" = true ]; then more=ffmpeg; fi \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libmp3lame0 mecab mecab-ipadic-utf8 curl $more \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /app /app
COPY LICENSE NOTICE /app/
# Models are mounted or downloaded into /models, never baked in; compiled kernels are kept there too.
ENV HF_HOME=/models \
    XDG_CACHE_HOME=/models/cache \
    CHATTERBOX_KERNEL_CACHE=/models/kernels \
    ASPNETCORE_HTTP_PORTS= \
    Service__VoicesFolder=/shared/reference_voices \
    Service__AudioFolder=/shared/audio
RUN mkdir -p /models /shared/reference_voices /shared/audio && chown -R $APP_UID /models /shared
VOLUME ["/models", "/shared/reference_voices", "/shared/audio"]
USER $APP_UID
EXPOSE 8002
# The first start may download the model, so that the service may take long to become ready.
HEALTHCHECK --interval=30s --timeout=5s --start-period=1h --start-interval=5s CMD curl -fsS http://localhost:8002/health/ready || exit 1
WORKDIR /app
ENTRYPOINT ["dotnet", "Chatterbox.Service.dll"]
