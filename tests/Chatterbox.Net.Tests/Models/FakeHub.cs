using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Chatterbox.Models;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Chatterbox.Tests.Models;

/// <summary>What a request asked for.</summary>
internal sealed record Asked(string Method, string Path, string? Range, string? Authorization, bool OfStorage);

/// <summary>
/// The Hugging Face hub on this machine: large files redirect to a storage on another port, by the names of the LFS
/// headers; small ones are answered at once, with git's blob name as ETag. Also a Python package index.
/// </summary>
internal sealed class FakeHub : IAsyncDisposable
{
    public const string Commit = "0123456789abcdef0123456789abcdef01234567";
    public const string Repository = "Somebody/some-model";

    private readonly WebApplication _app;
    private readonly int _hubPort;
    private readonly int _storagePort;

    private FakeHub(WebApplication app)
    {
        _app = app;
        var ports = app.Urls.Select(url => new Uri(url).Port).ToArray();
        (_hubPort, _storagePort) = (ports[0], ports[1]);
        Endpoint = new Uri($"http://127.0.0.1:{_hubPort}");
    }

    public Uri Endpoint { get; }

    /// <summary>Content of each file.</summary>
    public Dictionary<string, byte[]> Files { get; } = [];

    /// <summary>Files of at least so many bytes are in the storage.</summary>
    public int LargeFrom { get; set; } = 1000;

    public bool KnowsRanges { get; set; } = true;

    /// <summary>The token that is asked for, if any.</summary>
    public string? Gate { get; set; }

    /// <summary>Branches besides main.</summary>
    public HashSet<string> Revisions { get; } = ["main", Commit];

    /// <summary>Said of the files instead of the truth.</summary>
    public Dictionary<string, string> Headers { get; } = [];

    /// <summary>What happens to the next requests of the hub instead of an answer; true ends the request.</summary>
    public ConcurrentQueue<Func<HttpContext, Task<bool>>> HubFaults { get; } = [];

    /// <summary>What happens to the next requests of the storage instead of an answer; true ends the request.</summary>
    public ConcurrentQueue<Func<HttpContext, Task<bool>>> StorageFaults { get; } = [];

    public ConcurrentQueue<Asked> Log { get; } = [];

    /// <summary>The wheel of the package index, and what it says of it.</summary>
    public (byte[] Wheel, string Json) Package { get; set; } = ([], "");

    public IEnumerable<Asked> Downloads => Log.Where(asked => asked.OfStorage);

    public static async Task<FakeHub> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0);
            kestrel.Listen(IPAddress.Loopback, 0);
        });
        var app = builder.Build();
        FakeHub? hub = null;
        app.Run(context => hub!.AnswerAsync(context));
        await app.StartAsync();
        return hub = new FakeHub(app);
    }

    public static string Sha256(byte[] content) => Convert.ToHexStringLower(SHA256.HashData(content));

    public static string GitBlob(byte[] content)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        hash.AppendData(Encoding.ASCII.GetBytes($"blob {content.Length}\0"));
        hash.AppendData(content);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>The files as a model whose sizes and hashes are known.</summary>
    public HubModel Pinned(string revision = Commit) =>
        new(Repository, revision, [.. Files.Select(f => new HubFile(f.Key, f.Value.Length, Sha256(f.Value)))]);

    /// <summary>The files as a model of which nothing else is known.</summary>
    public HubModel Unpinned(string revision = "main") => Pinned(revision).At(revision);

    /// <summary>Lets the next requests of the storage send some bytes, and then end or fall silent.</summary>
    public void CutNext(int times, int afterBytes, bool silent = false)
    {
        for (var i = 0; i < times; i++)
        {
            StorageFaults.Enqueue(async context =>
            {
                var content = Stored(context);
                context.Response.ContentLength = content.Length;
                await context.Response.Body.WriteAsync(content.AsMemory(0, Math.Min(afterBytes, content.Length)));
                await context.Response.Body.FlushAsync();
                if (silent)
                {
                    await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
                }

                return true; // before all bytes have been sent, so that the server closes the connection
            });
        }
    }

    public void RefuseNext(ConcurrentQueue<Func<HttpContext, Task<bool>>> where, int status, string? header = null, string? value = null) =>
        where.Enqueue(context =>
        {
            context.Response.StatusCode = status;
            if (header is not null)
            {
                context.Response.Headers[header] = value;
            }

            return Task.FromResult(true);
        });

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(new CancellationToken(canceled: true));
        await _app.DisposeAsync();
    }

    /// <summary>The part of a stored file that a request asks for.</summary>
    private byte[] Stored(HttpContext context)
    {
        var content = Files
            .Values.Append(Package.Wheel)
            .Single(f => context.Request.Path.Value!.EndsWith(Sha256(f), StringComparison.Ordinal));
        if (!KnowsRanges || context.Request.GetTypedHeaders().Range?.Ranges.Single() is not { } range)
        {
            return content;
        }

        context.Response.StatusCode = StatusCodes.Status206PartialContent;
        context.Response.Headers.ContentRange = $"bytes {range.From}-{range.To}/{content.Length}";
        return content[(int)range.From!.Value..((int)range.To!.Value + 1)];
    }

    private async Task AnswerAsync(HttpContext context)
    {
        var ofStorage = context.Connection.LocalPort == _storagePort;
        Log.Enqueue(
            new Asked(
                context.Request.Method,
                context.Request.Path.Value!,
                context.Request.Headers.Range,
                context.Request.Headers.Authorization,
                ofStorage
            )
        );
        if ((ofStorage ? StorageFaults : HubFaults).TryDequeue(out var fault) && await fault(context))
        {
            return;
        }

        if (ofStorage)
        {
            var content = Stored(context);
            context.Response.ContentLength = content.Length;
            await context.Response.Body.WriteAsync(content);
        }
        else if (context.Request.Path.StartsWithSegments("/pypi"))
        {
            await context.Response.WriteAsync(Package.Json);
        }
        else
        {
            await AnswerOfHubAsync(context);
        }
    }

    private async Task AnswerOfHubAsync(HttpContext context)
    {
        var response = context.Response;
        void Refuse(int status, string code)
        {
            response.StatusCode = status;
            response.Headers["X-Error-Code"] = code;
        }

        var path = context.Request.Path.Value!.TrimStart('/').Split('/', 5);
        if (Gate is not null && context.Request.Headers.Authorization != $"Bearer {Gate}")
        {
            Refuse(401, "GatedRepo");
        }
        else if (path.Length < 5 || $"{path[0]}/{path[1]}" != Repository)
        {
            Refuse(401, "RepoNotFound");
        }
        else if (!Revisions.Contains(Uri.UnescapeDataString(path[3])))
        {
            Refuse(404, "RevisionNotFound");
        }
        else if (!Files.TryGetValue(path[4], out var content))
        {
            Refuse(404, "EntryNotFound");
        }
        else
        {
            response.Headers["X-Repo-Commit"] = Commit;
            if (content.Length >= LargeFrom)
            {
                response.StatusCode = StatusCodes.Status302Found;
                response.Headers.Location = $"http://localhost:{_storagePort}/signed/{Sha256(content)}";
                response.Headers["X-Linked-ETag"] = $"\"{Sha256(content)}\"";
                response.Headers["X-Linked-Size"] = $"{content.Length}";
                response.Headers.ETag = "\"an-etag-of-the-redirect\"";
            }
            else
            {
                response.Headers.ETag = $"W/\"{GitBlob(content)}\"";
                response.ContentLength = content.Length;
            }

            foreach (var (name, value) in Headers)
            {
                response.Headers[name] = value;
            }

            if (content.Length < LargeFrom && context.Request.Method == "GET")
            {
                await response.Body.WriteAsync(content);
            }
        }
    }

    /// <summary>What the package index says of a wheel that the storage has.</summary>
    public string PackageJson(byte[] wheel, string? sha256 = null, string? url = null) =>
        JsonSerializer.Serialize(
            new
            {
                urls = new object[]
                {
                    new
                    {
                        packagetype = "sdist",
                        url = "http://localhost/none.tar.gz",
                        size = 1,
                        digests = new { sha256 = new string('0', 64) },
                    },
                    new
                    {
                        packagetype = "bdist_wheel",
                        url = url ?? $"http://localhost:{_storagePort}/packages/{Sha256(wheel)}",
                        size = wheel.Length,
                        digests = new { sha256 = sha256 ?? Sha256(wheel) },
                    },
                },
            }
        );
}
