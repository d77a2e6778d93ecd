using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Runtime.InteropServices;
using Chatterbox.Service.Commands;
using Chatterbox.Tests.Audio;
using Fuzz.Service;

namespace Chatterbox.Service.Tests;

/// <summary>The program on a machine with none of ffmpeg, libmp3lame and libopus: its processes have an empty PATH, and find files that are
/// no
/// libraries under the names of those two. The installed decoders, which share no code with it, decode what it sends.</summary>
public sealed class BareMachineTests(BareMachineTests.BareService bare) : IClassFixture<BareMachineTests.BareService>
{
    private const string Text = "Hello there, listener.";
    private const int Rate = SpeechResult.SampleRate;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Wav_holds_the_samples_of_pcm()
    {
        var pcm = await bare.Speech("pcm");
        Assert.InRange(pcm.Length, Rate / 10, 60 * Rate);
        Assert.Equal(pcm, (await bare.Speech("wav"))[44..]);
    }

    [Fact]
    public async Task Flac_passes_the_test_of_its_own_program_and_is_lossless()
    {
        var file = await bare.SpeechFile("flac");
        await Tool("flac", "-s", "-t", file);
        Assert.Equal(
            await bare.Speech("pcm"),
            await Tool("flac", "-s", "-d", "-c", "--force-raw-format", "--endian=little", "--sign=signed", file)
        );
    }

    [Fact]
    public async Task Opus_has_no_fault_and_its_length_to_the_sample()
    {
        var (file, pcm) = (await bare.SpeechFile("opus"), Wav.Pcm(await bare.Speech("pcm")));
        Assert.DoesNotContain(
            "WARNING",
            System.Text.Encoding.UTF8.GetString(await Tool("opusinfo", file)),
            StringComparison.OrdinalIgnoreCase
        );
        var decoded = Wav.Pcm(await Tool("opusdec", "--quiet", "--rate", "48000", "--no-dither", file, "-"));
        Assert.Equal(2 * pcm.Length, decoded.Length);
        Assert.InRange(SignalToNoise.Segmental(pcm, [.. decoded.Where((_, i) => i % 2 == 0)], Rate), 6, 90);
    }

    [Theory]
    [InlineData("mpg123", "-q", "-s")]
    [InlineData("ffmpeg", "-v", "error", "-f", "s16le", "-ac", "1", "pipe:1", "-i")]
    public async Task Mp3_of_this_program_is_decoded_by_others(params string[] decoder)
    {
        var (file, pcm) = (await bare.SpeechFile("mp3"), Wav.Pcm(await bare.Speech("pcm")));
        string[] arguments = decoder[^1] == "-i" ? [.. decoder[1..3], "-i", file, .. decoder[3..^1]] : [.. decoder[1..], file];
        var decoded = Wav.Pcm(await Tool(decoder[0], arguments));
        // a stream's header has no length: whole frames, and the delay of both filter banks
        Assert.InRange(decoded.Length, pcm.Length, pcm.Length + 4000);
        Assert.InRange(SignalToNoise.Segmental(pcm, decoded, Rate), 15, 90);
    }

    [Theory]
    [InlineData("ulaw", "mulaw")]
    [InlineData("alaw", "alaw")]
    public async Task G711_has_its_length_to_the_sample(string format, string codec)
    {
        var (file, pcm) = (await bare.SpeechFile(format), await bare.Speech("pcm"));
        var decoded = await Tool("ffmpeg", "-v", "error", "-f", codec, "-ar", "8000", "-ac", "1", "-i", file, "-f", "s16le", "pipe:1");
        Assert.Equal(2 * ((pcm.Length / 2) + 2) / 3, decoded.Length, 1.0);
        Assert.Contains(Wav.Pcm(decoded), sample => Math.Abs(sample) > 0.01);
    }

    [Fact]
    public async Task Aac_is_refused_with_the_reason()
    {
        using var answer = await bare.Ask("aac");
        await answer.AssertOpenAiError(HttpStatusCode.BadRequest, "response_format", "ffmpeg_missing");
    }

    [Fact]
    public async Task The_commands_write_mp3_and_read_it_again_through_pipes()
    {
        var (code, mp3, error) = await bare.Run(
            [],
            "say",
            Text,
            "--model",
            "tiny",
            "--device",
            "cpu",
            "--seed",
            "1",
            "--out",
            "-",
            "--format",
            "mp3"
        );
        Assert.True(code == ExitCodes.Done, error);
        var (converted, flac, message) = await bare.Run(
            mp3,
            "convert",
            "-",
            "--model",
            "tiny",
            "--device",
            "cpu",
            "--seed",
            "1",
            "--out",
            "-",
            "--format",
            "flac_16000"
        );
        Assert.True(converted == ExitCodes.Done, message);
        Assert.StartsWith("fLaC", System.Text.Encoding.Latin1.GetString(flac), StringComparison.Ordinal);
        var (refused, nothing, reason) = await bare.Run([], "say", Text, "--model", "tiny", "--out", bare.PathOf("speech.aac"));
        Assert.Equal(ExitCodes.Failed, refused);
        Assert.Empty(nothing);
        Assert.Contains("aac needs ffmpeg", reason, StringComparison.Ordinal);
    }

    /// <summary>Runs one of the installed programs.</summary>
    /// <returns>Its standard output.</returns>
    private static async Task<byte[]> Tool(string program, params string[] arguments)
    {
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        Assert.SkipUnless(folders.Any(folder => File.Exists(Path.Combine(folder, program))), $"{program} is not installed");
        var (code, output, error) = await Finish(new ProcessStartInfo(program, arguments), []);
        Assert.True(code == 0, $"{program} ended with {code}: {error}");
        return output;
    }

    private static async Task<(int Code, byte[] Output, string Error)> Finish(ProcessStartInfo start, byte[] input)
    {
        start.RedirectStandardInput = start.RedirectStandardOutput = start.RedirectStandardError = true;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        limit.CancelAfter(Waits.Limit);
        using var process = Process.Start(start)!;
        try
        {
            using var output = new MemoryStream();
            var (reading, errors) = (
                process.StandardOutput.BaseStream.CopyToAsync(output, limit.Token),
                process.StandardError.ReadToEndAsync(limit.Token)
            );
            await process.StandardInput.BaseStream.WriteAsync(input, limit.Token);
            process.StandardInput.Close();
            await reading;
            await process.WaitForExitAsync(limit.Token);
            return (process.ExitCode, output.ToArray(), await errors);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
    }

    /// <summary>One service for all tests of the class.</summary>
    public sealed class BareService : IAsyncLifetime
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("chatterbox-bare-");
        private ServiceProgram? _service;
        private HttpClient? _http;

        public async ValueTask InitializeAsync()
        {
            if (!OperatingSystem.IsLinux())
            {
                return; // libraries are hidden in another way elsewhere; the tests are skipped
            }

            foreach (var library in (string[])["libmp3lame.so.0", "libopus.so", "libopus.so.0"])
            {
                await File.WriteAllTextAsync(PathOf(library), "no library");
            }

            Directory.CreateDirectory(PathOf("empty"));
            _service = await ServiceProgram.StartAsync(_folder.FullName, Environments());
            _http = new HttpClient { BaseAddress = _service.Address, Timeout = Waits.Limit };
        }

        public ValueTask DisposeAsync()
        {
            _http?.Dispose();
            _service?.Dispose();
            _folder.Delete(recursive: true);
            return ValueTask.CompletedTask;
        }

        public string PathOf(string name) => Path.Combine(_folder.FullName, name);

        public async Task<HttpResponseMessage> Ask(string format)
        {
            Assert.SkipWhen(_http is null, "the libraries are hidden by a variable of Linux");
            return await _http!.PostAsync(
                new Uri("/v1/audio/speech", UriKind.Relative),
                JsonContent.Create(
                    new
                    {
                        model = "tiny",
                        input = Text,
                        voice = "default",
                        response_format = format,
                        seed = 3,
                    }
                ),
                Cancel
            );
        }

        public async Task<byte[]> Speech(string format)
        {
            using var answer = await Ask(format);
            Assert.True(answer.StatusCode == HttpStatusCode.OK, await answer.Content.ReadAsStringAsync(Cancel));
            return await answer.Content.ReadAsByteArrayAsync(Cancel);
        }

        public async Task<string> SpeechFile(string format)
        {
            var path = PathOf($"{Guid.NewGuid():N}.{format}");
            await File.WriteAllBytesAsync(path, await Speech(format), Cancel);
            return path;
        }

        /// <summary>Runs a command of the program.</summary>
        public Task<(int Code, byte[] Output, string Error)> Run(byte[] input, params string[] arguments)
        {
            Assert.SkipWhen(_http is null, "the libraries are hidden by a variable of Linux");
            var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "Chatterbox.Service"), arguments);
            foreach (var (name, value) in Environments())
            {
                start.Environment[name] = value;
            }

            return Finish(start, input);
        }

        private (string Name, string Value)[] Environments() =>
            [
                ("PATH", PathOf("empty")),
                ("LD_LIBRARY_PATH", _folder.FullName),
                ("DOTNET_ROOT", Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."))),
            ];
    }
}
