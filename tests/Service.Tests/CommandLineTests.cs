using System.CommandLine;
using Chatterbox.Service.Commands;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Tests;

/// <summary>The command line: help, version, errors, and the commands on a tiny model.</summary>
public sealed class CommandLineTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("chatterbox-cli-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    [InlineData("--help", "Usage:")]
    [InlineData("-h", "voices")]
    [InlineData("say --help", "--lines")]
    [InlineData("convert --help", "--voice")]
    [InlineData("detect --help", "watermark")]
    [InlineData("--version", "0.1.0")]
    public async Task Help_and_version_answer_and_start_nothing(string line, string expected)
    {
        var (code, output, error) = await Run(line.Split(' '));
        Assert.Equal((ExitCodes.Done, ""), (code, error));
        Assert.Contains(expected, output);
    }

    [Theory]
    [InlineData("syy", "say")]
    [InlineData("--prot 8003", "--port")]
    [InlineData("--Service:Prot 8003", "--Service:Port")]
    [InlineData("say Hello. --voise Ann", "--voice")]
    [InlineData("say Hello. --seed one", "'one'")]
    [InlineData("say Hello. --file text.txt", "--file")]
    [InlineData("detect", "'detect'")]
    public async Task What_is_unknown_or_wrong_is_an_error_that_helps(string line, string expected)
    {
        var (code, output, error) = await Run(line.Split(' '));
        Assert.Equal(ExitCodes.WrongCommandLine, code);
        Assert.Contains(expected, output + error);
        Assert.Contains("--help", error);
    }

    [Theory]
    [InlineData("--port 0")]
    [InlineData("--Service:Port 0 --Service:Address 127.0.0.1 --Models:MemoryGiB 3")]
    [InlineData(
        "--Security:ApiKeys:0 a-key-of-some-length --OpenAi:VoiceAliases:alloy=Ann --Logging:LogLevel:Default Debug --urls "
            + "http://localhost:0"
    )]
    public void Settings_are_options(string line)
    {
        Assert.Empty(CommandLine.Parse(line.Split(' ')).Errors);
    }

    [Fact]
    public async Task A_port_in_use_is_one_line()
    {
        using var taken = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        taken.Start();
        var port = ((System.Net.IPEndPoint)taken.LocalEndpoint).Port;
        var error = await Assert.ThrowsAsync<SettingException>(async () =>
        {
            await using var service = await TestService.Start(new() { ["Service:Port"] = $"{port}" });
        });
        Assert.DoesNotContain('\n', error.Message);
        Assert.StartsWith($"Port {port} on '127.0.0.1' is in use", error.Message);
        Assert.Contains($"--port {port + 1}", error.Message);
    }

    [Fact]
    public async Task Voices_are_listed_and_spoken_with_by_name()
    {
        File.Copy(Path.Combine(TestService.Fixtures, "audio", "jfk_16k_mono.wav"), In("Kennedy.wav"));
        var (code, output, _) = await Run("voices", "--voices", _folder.FullName);
        Assert.Equal((ExitCodes.Done, $"Kennedy\t{In("Kennedy.wav")}\n"), (code, output));

        var (said, _, error) = await Run(
            "say",
            "Hello.",
            "--model",
            "tiny",
            "--device",
            "cpu",
            "--voice",
            "Kennedy",
            "--voices",
            _folder.FullName,
            "--out",
            In("hello.wav"),
            "--seed",
            "1"
        );
        Assert.True(said == ExitCodes.Done, error);
        Assert.NotEmpty(Wav.Read(await File.ReadAllBytesAsync(In("hello.wav"))));
        var (unknown, _, message) = await Run(
            "say",
            "Hello.",
            "--model",
            "tiny",
            "--device",
            "cpu",
            "--voice",
            "Kenedy",
            "--voices",
            _folder.FullName
        );
        Assert.Equal(ExitCodes.Failed, unknown);
        Assert.Contains("'Kenedy' is neither a file nor a voice", message);
        Assert.Contains("Kennedy", message);
    }

    [Fact]
    public async Task A_file_is_spoken_and_each_line_of_a_list()
    {
        await File.WriteAllTextAsync(In("text.txt"), "Hello there.");
        await File.WriteAllTextAsync(In("lines.txt"), "One.\n\nTwo.\n");
        string[] tiny = ["--model", "tiny", "--device", "cpu", "--seed", "1", "--out", In("out.wav")];
        Assert.Equal(ExitCodes.Done, (await Run(["say", "--file", In("text.txt"), .. tiny])).Code);
        Assert.True(File.Exists(In("out.wav")));
        Assert.Equal(ExitCodes.Done, (await Run(["say", "--lines", In("lines.txt"), .. tiny])).Code);
        Assert.True(File.Exists(In("out-1.wav")) && File.Exists(In("out-2.wav")) && !File.Exists(In("out-3.wav")));
        Assert.Equal(ExitCodes.Failed, (await Run(["say", "--file", In("none.txt"), .. tiny])).Code);
    }

    [Fact]
    public async Task A_book_is_spoken_and_continued_where_it_was_interrupted()
    {
        await File.WriteAllBytesAsync(In("small.epub"), Epubs.Zip(Epubs.Files()));
        string[] book = ["book", In("small.epub"), "--model", "tiny-turbo", "--device", "cpu", "--out", In("book.zip")];
        Directory.CreateDirectory(In("book.zip")); // in the way of the file, once all is generated
        Assert.Equal(ExitCodes.Failed, (await Run(book)).Code);
        Assert.Equal(4, Directory.GetFiles(In("book.zip.pieces"), "*.pcm").Length);
        Directory.Delete(In("book.zip"));
        File.Delete(Path.Combine(In("book.zip.pieces"), "000002.pcm"));
        var (code, output, error) = await Run(book);
        Assert.True(code == ExitCodes.Done, error);
        Assert.Contains("3 of 4 pieces are in", error);
        Assert.Contains("Chapter 2 of 2: The second", error);
        Assert.Contains("2 chapters", output);
        using var zip = System.IO.Compression.ZipFile.OpenRead(In("book.zip"));
        Assert.Equal(["01 The first.mp3", "02 The second.mp3"], zip.Entries.Select(entry => entry.FullName));
        Assert.False(Directory.Exists(In("book.zip.pieces")));
        Assert.Equal(ExitCodes.Failed, (await Run("book", In("small.epub"), "--out", In("book.txt"))).Code);
    }

    private static async Task<(int Code, string Output, string Error)> Run(params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var code = await CommandLine
            .RunAsync(args, new InvocationConfiguration { Output = output, Error = error })
            .WaitAsync(TimeSpan.FromMinutes(2));
        return (code, output.ToString(), error.ToString());
    }

    private string In(string file) => Path.Combine(_folder.FullName, file);
}
