using System.Net;
using System.Text.RegularExpressions;

namespace Chatterbox.Models;

/// <summary>
/// Downloads models from the Hugging Face hub into the hub's own cache, where Python programs find them and from where
/// theirs are used. What is in a snapshot's folder has come in whole and has the hub's hash.
/// </summary>
/// <remarks>
/// Large files come in parts over several connections and go on where they were cut off. Plain HTTP: the hub's Xet storage
/// answers it too. Ports hf_hub_download of huggingface_hub, file_download.py. Safe for use by several threads and
/// processes at once.
/// </remarks>
public sealed partial class ModelHub : IDisposable
{
    private const long SpareBytes = 16 << 20;

    private readonly ModelHubOptions _options;
    private readonly HttpClient _client;
    private readonly bool _ownsClient;
    private readonly HubHttp _http;

    /// <param name="options">Where from, where to, how hard.</param>
    /// <param name="http">Sends the requests, for instance through a proxy. Its handler must have AllowAutoRedirect off:
    /// redirects are followed here, without the token.</param>
    public ModelHub(ModelHubOptions options, HttpClient? http = null)
    {
        _options = options;
        _ownsClient = http is null;
        _client =
            http
            ?? new HttpClient(
                new SocketsHttpHandler
                {
                    AllowAutoRedirect = false,
                    UseCookies = false,
                    ConnectTimeout = TimeSpan.FromSeconds(15),
                }
            )
            {
                Timeout = Timeout.InfiniteTimeSpan,
            };
        _http = new HubHttp(_client, options);
    }

    /// <summary>Finds a model that is in the cache whole, without asking a server.</summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">The snapshot's folder, which has the model's files by their names.</param>
    /// <returns>True if each file is there with its known size. Of a model whose hashes are known, any snapshot of the
    /// repository will do that has the same contents.</returns>
    public bool TryFindCached(HubModel model, out string folder)
    {
        ThrowIfUnfit(model);
        var cache = new HubCache(_options, model.Repository);
        var known = model.Files.All(file => file.Sha256 is not null);
        var asked = cache.CommitOf(model.Revision) is { } commit ? cache.Snapshot(commit) : null;
        folder =
            asked is not null && model.Files.All(file => HubCache.Holds(asked, file, byHash: false)) ? asked
            : known
            && cache.Snapshots().FirstOrDefault(other => model.Files.All(file => HubCache.Holds(other, file, byHash: true))) is { } same
                ? same
            : "";
        return folder.Length > 0;
    }

    /// <summary>Brings a model's files into the cache, as far as they are not there.</summary>
    /// <param name="model">The model.</param>
    /// <param name="progress">Called a few times a second how far the download is.</param>
    /// <param name="cancellationToken">Stops the download; the next one goes on from there.</param>
    /// <returns>The snapshot's folder, which has the model's files by their names.</returns>
    /// <exception cref="UnavailableException">No network, no access, no room, or a server that does not answer.</exception>
    /// <exception cref="CheckpointException">The hub has no such model, or not the files that are known.</exception>
    public async Task<string> DownloadAsync(
        HubModel model,
        IProgress<DownloadProgress>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        var isCached = TryFindCached(model, out var cached);
        if (isCached && (_options.Offline || HubCache.IsCommit(model.Revision)))
        {
            return cached;
        }

        if (_options.Offline)
        {
            throw new UnavailableException(
                $"{model.Repository} is not whole in {_options.CacheFolder}, and HF_HUB_OFFLINE forbids to download it. Unset "
                    + $"HF_HUB_OFFLINE, or copy the model there: {string.Join(", ", model.Files.Select(f => f.Path))}."
            );
        }

        try
        {
            return await DiskErrors.ExplainAsync(_options.CacheFolder, "HF_HOME", () => FetchAsync(model, progress, cancellationToken));
        }
        catch (UnavailableException) when (isCached)
        {
            return cached; // what a branch stood for when it was last asked for
        }
    }

    /// <summary>Asks both servers once, without patience: for deciding whether a download is worth starting.</summary>
    /// <param name="patience">Longest wait for an answer.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>True if the hub and the package index answer, whatever they say.</returns>
    public async Task<bool> CanReachAsync(TimeSpan patience, CancellationToken cancellationToken = default)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(patience);
        try
        {
            foreach (var server in _options.Offline ? [] : new[] { _options.Endpoint, _options.PackageIndex })
            {
                using var request = new HttpRequestMessage(HttpMethod.Head, server);
                using var answer = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, timeout.Token);
            }

            return !_options.Offline;
        }
        catch (Exception e)
            when (e is HttpRequestException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return false;
        }
    }

    /// <summary>Finds the weights of PerTh, the watermark, that were downloaded before, without asking a server.</summary>
    /// <param name="file">Path of <c>perth_net_250000.pth.tar</c>.</param>
    public bool TryFindPerth(out string file) => new PerthPackage(_http, _options).TryFind(out file);

    /// <summary>Brings the weights of PerTh, the watermark, which are published in a Python package only, into
    /// <see cref="ModelHubOptions.AssetsFolder"/>.</summary>
    /// <param name="progress">Called a few times a second how far the download is.</param>
    /// <param name="cancellationToken">Stops the download; the next one goes on from there.</param>
    /// <returns>Path of <c>perth_net_250000.pth.tar</c>.</returns>
    /// <exception cref="UnavailableException">No network, no room, or a server that does not answer.</exception>
    /// <exception cref="CheckpointException">The package index has no such package, or not the file that is known.</exception>
    public Task<string> DownloadPerthAsync(IProgress<DownloadProgress>? progress = null, CancellationToken cancellationToken = default) =>
        new PerthPackage(_http, _options).DownloadAsync(progress, cancellationToken);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_ownsClient)
        {
            _client.Dispose();
        }
    }

    private async Task<string> FetchAsync(HubModel model, IProgress<DownloadProgress>? progress, CancellationToken cancellationToken)
    {
        var cache = new HubCache(_options, model.Repository);
        var commit = HubCache.IsCommit(model.Revision) ? model.Revision : null;
        var remotes = new List<RemoteFile>();
        foreach (var file in model.Files)
        {
            if (commit is null || !HubCache.Holds(cache.Snapshot(commit), file, byHash: false))
            {
                var remote = await AskAsync(model, file, commit ?? model.Revision, cancellationToken);
                commit ??= remote.Commit;
                remotes.Add(remote);
            }
        }

        var wanted = remotes.Where(r => !IsThere(cache, r)).ToList();
        DiskErrors.ThrowIfFull(
            _options,
            _options.CacheFolder,
            wanted.Sum(r => r.Size - ResumableDownload.BytesIn(cache.Partial(r.ETag), r.Size, _options)) + SpareBytes,
            "HF_HOME"
        );
        var meter = new ProgressMeter(progress, wanted.Sum(r => r.Size));
        foreach (var remote in remotes)
        {
            using var turn = await cache.LockAsync(remote.ETag, cancellationToken);
            var isIn = HubCache.Holds(cache.Snapshot(commit!), remote.File with { Size = remote.Size }, byHash: false);
            var isNew = !isIn && !IsThere(cache, remote);
            if (isNew)
            {
                await FetchAsync(cache, model, remote, commit!, meter, cancellationToken);
            }
            else if (wanted.Contains(remote))
            {
                meter.Advance(remote.File.Path, remote.Size); // another process has brought it meanwhile
            }

            if (!isIn)
            {
                cache.Link(commit!, remote.File.Path, remote.ETag, isNew);
            }
        }

        cache.Remember(model.Revision, commit!);
        return cache.Snapshot(commit!);
    }

    /// <summary>Downloads one content; a second time from its beginning where what an earlier download had left was wrong.</summary>
    private async Task FetchAsync(
        HubCache cache,
        HubModel model,
        RemoteFile remote,
        string commit,
        ProgressMeter meter,
        CancellationToken cancellationToken
    )
    {
        var (blob, partial) = (cache.Blob(remote.ETag), cache.Partial(remote.ETag));
        Directory.CreateDirectory(Path.GetDirectoryName(blob)!);
        for (var again = false; ; again = true)
        {
            var download = new ResumableDownload(
                _http,
                _options,
                Address(model, remote.File, commit),
                partial,
                remote.Size,
                response => Refused(model, remote.File, commit, response),
                bytes => meter.Advance(remote.File.Path, bytes)
            );
            meter.Advance(remote.File.Path, download.AlreadyThere);
            await download.RunAsync(cancellationToken);
            var (actual, expected) = (await HashAsync(partial, remote, cancellationToken), remote.Hash);
            if (actual == expected)
            {
                File.Move(partial, blob, overwrite: true);
                ResumableDownload.Delete(partial);
                return;
            }

            ResumableDownload.Delete(partial);
            if (download.AlreadyThere == 0 || again)
            {
                throw new CheckpointException(
                    $"{model.Repository}/{remote.File.Path} has hash {actual}, expected {expected}: the file changed upstream or on its "
                        + $"way. Try again; if it stays so, update this program or name another revision."
                );
            }

            meter.Advance(remote.File.Path, -remote.Size);
        }
    }

    private static Task<string> HashAsync(string path, RemoteFile remote, CancellationToken cancellationToken) =>
        remote.Hash.Length == 64 ? ContentHash.Sha256Async(path, cancellationToken) : ContentHash.GitBlobAsync(path, cancellationToken);

    /// <summary>Asks the hub what a file is: its content's name, its size and its commit.</summary>
    private async Task<RemoteFile> AskAsync(HubModel model, HubFile file, string revision, CancellationToken cancellationToken)
    {
        var url = Address(model, file, revision);
        using var response = await _http.RetryAsync(
            () => _http.SendAsync(HttpMethod.Head, url, null, toOtherHosts: false, cancellationToken),
            () => 0,
            cancellationToken
        );
        if ((int)response.StatusCode >= 400)
        {
            throw Refused(model, file, revision, response);
        }

        string? Header(string name) => response.Headers.TryGetValues(name, out var values) ? values.First() : null;
        var etag = (Header("X-Linked-ETag") ?? response.Headers.ETag?.Tag ?? "").Replace("W/", "", StringComparison.Ordinal).Trim('"');
        var commit = Header("X-Repo-Commit") ?? revision;
        var size =
            long.TryParse(Header("X-Linked-Size"), out var linked) ? linked
            : response.StatusCode == HttpStatusCode.OK ? response.Content.Headers.ContentLength
            : null;
        if (!ContentName().IsMatch(etag) || !HubCache.IsCommit(commit) || size is not >= 0)
        {
            throw new UnavailableException(
                $"{url} answers {(int)response.StatusCode} with ETag '{etag}', commit '{commit}' and size {size}, which is not as the "
                    + $"hub answers. Check HF_ENDPOINT and the network for a login page or a wrong proxy."
            );
        }

        if ((file.Size ?? size) != size || (file.Sha256 is not null && etag.Length == 64 && file.Sha256 != etag))
        {
            throw new CheckpointException(
                $"{model.Repository}/{file.Path} at {revision} has {size} bytes and hash {etag}, expected {file.Size} and {file.Sha256}: "
                    + $"the file changed upstream. Update this program or name another revision."
            );
        }

        return new RemoteFile(file, etag, size.Value, commit);
    }

    private static Exception Refused(HubModel model, HubFile file, string revision, HttpResponseMessage response)
    {
        var page = $"https://huggingface.co/{model.Repository}";
        var reason = response.Headers.TryGetValues("X-Error-Code", out var codes) ? codes.First() : null;
        return (response.StatusCode, reason) switch
        {
            (_, "GatedRepo") => new UnavailableException(
                $"{model.Repository} is open only to those who accept its conditions. Accept them at {page} and set HF_TOKEN to an "
                    + $"access token of that account."
            ),
            (HttpStatusCode.Unauthorized, _) or (_, "RepoNotFound") => new UnavailableException(
                $"{model.Repository} does not exist, or is private, or HF_TOKEN is missing or not valid. Check the name at {page}, or "
                    + $"set HF_TOKEN to an access token that may read it."
            ),
            (HttpStatusCode.Forbidden, _) => new UnavailableException(
                $"HF_TOKEN may not read {model.Repository} (403). Ask for access at {page}, or set HF_TOKEN to an access token that "
                    + $"may read it."
            ),
            (_, "RevisionNotFound") => new CheckpointException(
                $"{model.Repository} has no revision '{revision}'. Name one that is listed at {page}/commits/main."
            ),
            (HttpStatusCode.NotFound, _) => new CheckpointException(
                $"{model.Repository} at {revision} has no file '{file.Path}' (404). Check the name at {page}, or name another revision."
            ),
            var (status, _) => new UnavailableException(
                $"{response.RequestMessage!.RequestUri!.Host} answers {(int)status} {response.ReasonPhrase} for "
                    + $"{model.Repository}/{file.Path}. Check HF_ENDPOINT and try again later."
            ),
        };
    }

    private Uri Address(HubModel model, HubFile file, string revision) =>
        new(
            $"{_options.Endpoint.AbsoluteUri.TrimEnd('/')}/{model.Repository}/resolve/{Uri.EscapeDataString(revision)}/{string.Join('/', file.Path.Split('/').Select(Uri.EscapeDataString))}"
        );

    private static bool IsThere(HubCache cache, RemoteFile remote) =>
        new FileInfo(cache.Blob(remote.ETag)) is { Exists: true } blob && blob.Length == remote.Size;

    private static void ThrowIfUnfit(HubModel model)
    {
        static bool IsPath(string path) => path.Split('/').All(part => PathPart().IsMatch(part));
        var wrong =
            model.Repository.Split('/').Length != 2 || !IsPath(model.Repository) ? model.Repository
            : !IsPath(model.Revision) ? model.Revision
            : model.Files.Select(f => f.Path).FirstOrDefault(path => !IsPath(path));
        if (wrong is not null)
        {
            throw new CheckpointException($"'{wrong}' is no name of a repository (owner/name), revision or file on the hub. Correct it.");
        }
    }

    [GeneratedRegex("^[0-9a-f]{40}([0-9a-f]{24})?$")]
    private static partial Regex ContentName();

    [GeneratedRegex(@"^[A-Za-z0-9_\-][A-Za-z0-9_.\- ]*$")]
    private static partial Regex PathPart();

    /// <summary>What the hub says of a file.</summary>
    private sealed record RemoteFile(HubFile File, string ETag, long Size, string Commit)
    {
        /// <summary>The known SHA-256, else the hub's: SHA-256 of large contents, git's blob name of small ones.</summary>
        public string Hash => File.Sha256 ?? ETag;
    }
}
