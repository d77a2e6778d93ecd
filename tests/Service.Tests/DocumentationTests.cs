using System.CommandLine.Parsing;
using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Chatterbox.Service.Commands;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Tests;

/// <summary>What README and docs tell people to type and where they lead.</summary>
public sealed partial class DocumentationTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private static string Root { get; } = Path.GetFullPath(Path.Combine(TestService.Fixtures, "..", ".."));

    /// <summary>Every page that people read, by its path from the root.</summary>
    private static IEnumerable<string> Pages { get; } =
        Directory
            .EnumerateFiles(Root, "*.md")
            .Concat(Directory.EnumerateFiles(Path.Combine(Root, "docs"), "*.md", SearchOption.AllDirectories))
            .Select(file => Path.GetRelativePath(Root, file));

    [Fact]
    public void The_readme_fits_a_front_page() => Assert.InRange(File.ReadLines(Path.Combine(Root, "README.md")).Count(), 60, 120);

    [Theory]
    [InlineData("README.md", 3)]
    [InlineData("docs/http-api.md", 12)]
    public async Task Each_curl_line_does_what_it_says(string page, int least)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/curl"), "curl is not installed");
        var lines = File.ReadLines(Path.Combine(Root, page)).Where(line => line.StartsWith("curl ", StringComparison.Ordinal)).ToList();
        Assert.True(lines.Count >= least, $"{page} has {lines.Count} lines with curl");
        await using var service = await TestService.StartReal("tiny", new() { ["Voices:UploadsEnabled"] = "true" });
        var folder = Directory.CreateTempSubdirectory("chatterbox-docs-");
        foreach (
            var (fixture, file) in (ReadOnlySpan<(string, string)>)
                [("jfk_16k_mono.wav", "in.wav"), ("jfk_16k_mono.wav", "ann.wav"), ("librispeech_6930-75918-0001_14s.wav", "target.wav")]
        )
        {
            File.Copy(Path.Combine(TestService.Fixtures, "audio", fixture), Path.Combine(folder.FullName, file));
        }

        foreach (var line in lines)
        {
            Assert.Contains("localhost:8002", line);
            var command = line.Split('#')[0].Replace("localhost:8002", service.Address.Authority, StringComparison.Ordinal);
            Check(line, await Shell(command + " --silent --show-error --fail-with-body", folder.FullName), folder.FullName);
        }

        folder.Delete(recursive: true);
    }

    [Fact]
    public void Each_command_of_the_service_is_understood()
    {
        const string program = "dotnet run -c Release --project src/Service";
        var lines = Pages
            .SelectMany(page => File.ReadLines(Path.Combine(Root, page)))
            .Where(line => line.StartsWith(program, StringComparison.Ordinal))
            .ToList();
        Assert.True(lines.Count > 8, $"{lines.Count} lines");
        Assert.All(
            lines,
            line =>
            {
                var args = CommandLineParser
                    .SplitCommandLine(line[program.Length..].Split('#')[0])
                    .SkipWhile(word => word == "--")
                    .ToList();
                Assert.Empty(CommandLine.Parse(args).Errors);
            }
        );
    }

    [Fact]
    public void Each_setting_that_is_named_exists()
    {
        var known = SettingsCatalog.All.Select(setting => setting.Key).ToHashSet();
        var sections = string.Join('|', SettingsCatalog.Sections.Skip(1).Select(section => section.Name));
        foreach (var page in Pages.Where(page => page != "CHANGELOG.md"))
        {
            var named = Regex
                .Matches(File.ReadAllText(Path.Combine(Root, page)), $@"(?<![\w:])(?:{sections})(?::|__)[A-Z]\w*?(?=__|\W|$)")
                .Select(match => match.Value.Replace("__", ":", StringComparison.Ordinal));
            Assert.Empty(named.Except(known).Except(["Service:Prot"]));
        }
    }

    [Fact]
    public async Task The_example_in_JavaScript_works()
    {
        var web = Path.Combine(Root, "tests", "Service.Tests", "web");
        Assert.SkipUnless(
            Directory.Exists(Path.Combine(web, "node_modules", "openai")),
            "the npm client is not installed: npm ci --prefix tests/Service.Tests/web"
        );
        var page = await File.ReadAllTextAsync(Path.Combine(Root, "docs", "clients.md"));
        var code = page.Split("```js\n")[1].Split("```")[0];
        await using var service = await TestService.Start();
        var file = Path.GetTempFileName();
        code = code.Replace("http://localhost:8002", service.Address.GetLeftPart(UriPartial.Authority), StringComparison.Ordinal)
            .Replace("hello.wav", file, StringComparison.Ordinal);
        using var node = Process.Start(
            new ProcessStartInfo("node", ["--input-type=module", "-e", code]) { WorkingDirectory = web, RedirectStandardError = true }
        )!;
        var errors = node.StandardError.ReadToEndAsync();
        await node.WaitForExitAsync().WaitAsync(Patience);
        Assert.True(node.ExitCode == 0, await errors);
        Assert.Equal("RIFF"u8.ToArray(), (await File.ReadAllBytesAsync(file))[..4]);
        File.Delete(file);
    }

    [Fact]
    public void Each_link_leads_somewhere()
    {
        var broken = new List<string>();
        foreach (var page in Pages)
        {
            foreach (Match link in Link().Matches(File.ReadAllText(Path.Combine(Root, page))))
            {
                var (path, anchor) = link.Groups[1].Value.Split('#') is [var file, var heading]
                    ? (file, heading)
                    : (link.Groups[1].Value, null);
                var target = Path.GetFullPath(
                    Path.Combine(Root, Path.GetDirectoryName(page)!, path.Length > 0 ? path : Path.GetFileName(page))
                );
                if (!File.Exists(target) || (anchor is not null && !Anchors(target).Contains(anchor)))
                {
                    broken.Add($"{page}: {link.Groups[1].Value}");
                }
            }
        }

        Assert.Empty(broken);
    }

    /// <summary>The answer is what the line is there to show.</summary>
    private static void Check(string line, string output, string folder)
    {
        if (line.Contains("\"stream\":true", StringComparison.Ordinal))
        {
            Assert.EndsWith("data: {\"status\":\"complete\",\"total_chunks\":2}\n\n", output);
        }
        else if (line.Split(" -o ") is [_, var file])
        {
            Assert.NotEmpty(Wav.Read(File.ReadAllBytes(Path.Combine(folder, file)))); // its length is true
        }
        else if (line.Contains("-X DELETE", StringComparison.Ordinal) || line.EndsWith("/health/ready", StringComparison.Ordinal))
        {
            Assert.Equal(line.Contains("DELETE", StringComparison.Ordinal) ? "" : "ready", output);
        }
        else
        {
            JsonDocument.Parse(output).Dispose();
        }
    }

    private static async Task<string> Shell(string command, string folder)
    {
        using var shell = Process.Start(
            new ProcessStartInfo("sh", ["-c", command])
            {
                WorkingDirectory = folder,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            }
        )!;
        var (output, errors) = (shell.StandardOutput.ReadToEndAsync(), shell.StandardError.ReadToEndAsync());
        await shell.WaitForExitAsync().WaitAsync(Patience);
        Assert.True(shell.ExitCode == 0, $"{command}\n{await output}\n{await errors}");
        return await output;
    }

    /// <summary>The anchors of a page's headings, as GitHub makes them.</summary>
    private static HashSet<string> Anchors(string page) =>
        [
            .. File.ReadLines(page)
                .Where(line => line.StartsWith('#'))
                .Select(line => NoAnchor().Replace(line.TrimStart('#').Trim().ToLowerInvariant(), "").Replace(' ', '-')),
        ];

    [GeneratedRegex(@"\]\((?!https?:)([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"[^\p{L}\p{N} _-]")]
    private static partial Regex NoAnchor();
}
