using System.Text.Json;
using Chatterbox.Tests.Models;

namespace ConvertWeights.Tests;

/// <summary><c>download</c>, against a hub on this machine.</summary>
public sealed class DownloadTests : IAsyncLifetime
{
    private static readonly string[] Variables =
    [
        "HF_ENDPOINT",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_TOKEN",
        "HF_HUB_OFFLINE",
        "CHATTERBOX_PYPI",
    ];

    private readonly Dictionary<string, string?> _before = Variables.ToDictionary(name => name, Environment.GetEnvironmentVariable);
    private readonly Cli _cli = new();
    private FakeHub _hub = null!;

    public async ValueTask InitializeAsync()
    {
        _hub = await FakeHub.StartAsync();
        _hub.Files["t3.safetensors"] = [.. Enumerable.Range(0, 5000).Select(i => (byte)i)];
        _hub.Files["tokenizer.json"] = "{}"u8.ToArray();
        Array.ForEach(Variables, name => Environment.SetEnvironmentVariable(name, null));
        Environment.SetEnvironmentVariable("HF_ENDPOINT", _hub.Endpoint.AbsoluteUri);
        Environment.SetEnvironmentVariable("HF_HOME", _cli.Folder);
        Environment.SetEnvironmentVariable("CHATTERBOX_PYPI", _hub.Endpoint.AbsoluteUri);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var (name, value) in _before)
        {
            Environment.SetEnvironmentVariable(name, value);
        }

        await _hub.DisposeAsync();
        _cli.Dispose();
    }

    [Fact]
    public async Task Files_of_a_repository_are_downloaded_once()
    {
        string[] line = ["download", FakeHub.Repository, "--file", "t3.safetensors", "tokenizer.json", "--json"];
        var said = await Cli.RunAsync(line);
        Assert.Equal(0, said.Code);
        var files = said.Json.GetProperty("files").EnumerateArray().Select(file => file.GetString()!).ToList();
        Assert.Equal(_hub.Files.Values, files.Select(File.ReadAllBytes));
        Assert.StartsWith(_cli.Folder, said.Json.GetProperty("folder").GetString(), StringComparison.Ordinal);
        Environment.SetEnvironmentVariable("HF_HUB_OFFLINE", "1");
        Assert.Equal(files, (await Cli.RunAsync(line)).Json.GetProperty("files").Deserialize<List<string>>());
    }

    [Fact]
    public async Task A_revision_can_be_named()
    {
        _hub.Revisions.Add("v2");
        var said = await Cli.RunAsync("download", FakeHub.Repository, "--file", "tokenizer.json", "--revision", "v2");
        Assert.Equal(0, said.Code);
        Assert.Contains(FakeHub.Commit, said.Output, StringComparison.Ordinal);
        said = await Cli.RunAsync("download", FakeHub.Repository, "--file", "tokenizer.json", "--revision", "v3");
        Assert.Equal(2, said.Code);
        Assert.Contains("has no revision 'v3'", said.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Gated_repositories_and_missing_networks_are_explained()
    {
        _hub.Gate = "secret";
        var said = await Cli.RunAsync("download", FakeHub.Repository, "--file", "tokenizer.json");
        Assert.Equal(2, said.Code);
        Assert.Contains("HF_TOKEN", said.Error, StringComparison.Ordinal);
        Environment.SetEnvironmentVariable("HF_HUB_OFFLINE", "1");
        foreach (var model in (string[])["english", "multilingual-v3", "turbo", "nano", "flash", "perth"])
        {
            said = await Cli.RunAsync("download", model);
            Assert.Equal(2, said.Code);
            Assert.Contains("HF_HUB_OFFLINE forbids", said.Error, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("'nonsense' is not a known model", "nonsense")]
    [InlineData("Which files of a/b?", "a/b")]
    [InlineData("the files of turbo are built in", "turbo", "--file", "x")]
    public async Task What_cannot_be_downloaded_is_said_beforehand(string message, params string[] args)
    {
        var said = await Cli.RunAsync(["download", .. args]);
        Assert.Equal(2, said.Code);
        Assert.Contains(message, said.Error, StringComparison.Ordinal);
        Assert.Empty(_hub.Log);
    }
}
