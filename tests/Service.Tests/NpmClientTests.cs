using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Chatterbox.Service.Tests;

/// <summary>The official npm client against the running service.</summary>
public sealed class NpmClientTests
{
    [Fact]
    public async Task It_hears_the_speech_and_understands_the_errors()
    {
        var folder = Path.Combine(Path.GetDirectoryName(Here())!, "web");
        Assert.SkipUnless(Directory.Exists(Path.Combine(folder, "node_modules", "openai")), "the npm client is not installed: npm ci --prefix tests/Service.Tests/web");
        await using var service = await TestService.Start();
        var formats = "wav,pcm,mp3,opus,flac" + (FfmpegTool.IsInstalled ? ",aac" : "");
        using var node = Process.Start(new ProcessStartInfo("node", ["openai.mjs", service.Address.ToString(), formats])
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var (output, errors) = (node.StandardOutput.ReadToEndAsync(), node.StandardError.ReadToEndAsync());
        await node.Ends("node openai.mjs");
        Assert.True(node.ExitCode == 0, await errors);
        Assert.Contains("content", await output);
    }

    private static string Here([CallerFilePath] string file = "") => file;
}
