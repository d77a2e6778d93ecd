using System.Diagnostics;
using System.Text.Json;

namespace Chatterbox.Service.Tests;

/// <summary>What the README tells people to type.</summary>
public sealed class ReadmeTests
{
    [Fact]
    public async Task Each_curl_line_does_what_it_says()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/curl"), "curl is not installed");
        await using var service = await TestService.StartReal("tiny");
        var folder = Directory.CreateTempSubdirectory("chatterbox-readme-");
        File.Copy(Path.Combine(TestService.Fixtures, "audio", "jfk_16k_mono.wav"), Path.Combine(folder.FullName, "in.wav"));
        File.Copy(Path.Combine(TestService.Fixtures, "audio", "librispeech_6930-75918-0001_14s.wav"), Path.Combine(folder.FullName, "target.wav"));
        var lines = File.ReadLines(Path.Combine(TestService.Fixtures, "..", "..", "README.md")).Where(line => line.StartsWith("curl ", StringComparison.Ordinal)).ToList();
        Assert.Contains(lines, line => line.Contains("/speak", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("/v1/audio/speech", StringComparison.Ordinal));
        foreach (var line in lines)
        {
            Assert.Contains("localhost:8002", line);
            var output = await Shell(line.Split('#')[0].Replace("localhost:8002", service.Address.Authority, StringComparison.Ordinal) + " --silent --show-error --fail-with-body", folder.FullName);
            if (line.Contains("\"stream\":true", StringComparison.Ordinal))
            {
                Assert.EndsWith("data: {\"status\":\"complete\",\"total_chunks\":2}\n\n", output);
            }
            else if (line.Split(" -o ") is [_, var file])
            {
                Assert.Equal("RIFF"u8.ToArray(), (await File.ReadAllBytesAsync(Path.Combine(folder.FullName, file)))[..4]);
            }
            else
            {
                JsonDocument.Parse(output).Dispose();
            }
        }

        folder.Delete(recursive: true);
    }

    private static async Task<string> Shell(string command, string folder)
    {
        using var shell = Process.Start(new ProcessStartInfo("sh", ["-c", command]) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true })!;
        var (output, errors) = (shell.StandardOutput.ReadToEndAsync(), shell.StandardError.ReadToEndAsync());
        await shell.WaitForExitAsync();
        Assert.True(shell.ExitCode == 0, $"{command}\n{await output}\n{await errors}");
        return await output;
    }
}
