using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Chatterbox.Service.Tests;

/// <summary>The official npm clients against the running service.</summary>
public sealed class NpmClientTests
{
    [Theory]
    [InlineData("openai", "openai.mjs")]
    [InlineData("@elevenlabs/elevenlabs-js", "elevenlabs.mjs")]
    [InlineData("@deepgram/sdk", "deepgram.mjs")]
    public async Task It_hears_the_speech_and_understands_the_errors(string package, string script)
    {
        var folder = Path.Combine(Path.GetDirectoryName(Here())!, "web");
        Assert.SkipUnless(
            Directory.Exists(Path.Combine(folder, "node_modules", package)),
            "the npm client is not installed: npm ci --prefix tests/Service.Tests/web"
        );
        await using var service = await TestService.Start();
        var formats = "wav,pcm,mp3,opus,flac" + (FfmpegTool.IsInstalled ? ",aac" : "");
        using var node = Process.Start(
            new ProcessStartInfo("node", [script, service.Address.ToString(), formats])
            {
                WorkingDirectory = folder,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            }
        )!;
        var (output, errors) = (node.StandardOutput.ReadToEndAsync(), node.StandardError.ReadToEndAsync());
        await node.Ends($"node {script}");
        Assert.True(node.ExitCode == 0, await errors);
        Assert.Contains("content", await output);
    }

    private static string Here([CallerFilePath] string file = "") => file;
}
