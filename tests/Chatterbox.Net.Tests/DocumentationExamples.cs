#pragma warning disable MEAI001 // text-to-speech clients are marked as experimental
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Extensions.AI;
using Chatterbox.Hosting;
using Chatterbox.NAudio;
using Chatterbox.Tests.Models;
using Chatterbox.Tests.Parity;
using Chatterbox.Text;
using Chatterbox.Voices;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using NAudio.Wave;

namespace Chatterbox.Tests;

/// <summary>The examples of README and docs/library.md are this code.</summary>
public sealed class DocumentationExamples
{
    [Fact]
    public void A_text_becomes_a_file()
    {
        var recording = Path.Combine(Fixtures.Root, "audio", "aishell_BAC009S0764W0121_16k.wav");
        var modelFolder = TinyCheckpoint.Folder;
        var voiceFile = Path.GetTempFileName();
        var output = Path.GetTempFileName();

        // example begins
        using var model = ChatterboxModel.Load(modelFolder);                       // a published or converted checkpoint
        var voice = model.CreateVoice(AudioFile.Load(recording));                  // some seconds of one speaker
        VoiceFile.Save(voiceFile, voice, new VoiceInfo("someone"));                // loads faster than the recording
        var speech = model.Synthesize("Hello there.", voice, new SamplingOptions { Seed = 1, Exaggeration = 0.7 });
        WavFile.Write(output, speech.Samples.Span, SpeechResult.SampleRate);            // 24 kHz, mono, watermarked
        // example ends

        Assert.True(new FileInfo(output).Length > 2 * speech.Samples.Length);
        Assert.Equal(speech.Samples, model.Synthesize("Hello there.", VoiceFile.Load(voiceFile).Voice, new SamplingOptions { Seed = 1, Exaggeration = 0.7 }).Samples);
        var code = Block(File.ReadAllText(ThisFile()), "        // example begins\n", "        // example ends");
        Assert.All((string[])["README.md", "docs/library.md"], page => Assert.Equal(code, CodeOf(page)[0]));
    }

    [Fact]
    public async Task Texts_of_any_length_are_spoken_by_an_engine()
    {
        var (name, text, output) = (TinyCheckpoint.Folder, "Hello there. How are you?", Path.GetTempFileName());
        var (player, progress, voice) = (new MemoryStream(), new Progress<double>(), (Voice?)null);

        // engine begins
        await using var engine = new SpeechEngine(await ChatterboxModel.LoadAsync(name));  // a folder, or a model's name such as nano
        var speech = await engine.SynthesizeAsync(text, voice, new SamplingOptions { Seed = 1 }, progress: progress);
        WavFile.Write(output, speech.Samples.Span, SpeechResult.SampleRate);
        await foreach (var chunk in engine.StreamAsync(text, voice))                       // while the rest is being generated
        {
            player.Write(Pcm16.Encode(chunk.Samples.Span));                                     // follow each other without a gap
        }

        // engine ends
        Assert.NotEqual(0, player.Length);
        Assert.Equal(speech.Samples.Length, WavFile.Read(output).Samples.Length);
        var code = Block(File.ReadAllText(ThisFile()), "        // engine begins\n", "        // engine ends");
        Assert.Equal([code, code], [CodeOf("docs/library.md")[1], CodeOf("src/Chatterbox.Net/PACKAGE.md")[0]]);
    }

    [Fact]
    public async Task Texts_are_spoken_as_people_write_them()
    {
        await using var engine = new SpeechEngine(await ChatterboxModel.LoadAsync(TinyCheckpoint.Folder));

        // written begins
        var written = new TextOptions { Normalize = true, SkipMarkup = true, Pronunciations = new Dictionary<string, string> { ["SQL"] = "sequel" } };
        var speech = await engine.SynthesizeAsync("**SQL** costs $3.50.", textOptions: written);    // "sequel costs three dollars and fifty cents."
        // written ends

        Assert.Equal(["**SQL** costs $3.50."], speech.Pieces);
        Assert.Equal("sequel costs three dollars and fifty cents.", new SpokenForm(written).Of(speech.Pieces[0]));
        Assert.Equal(Block(File.ReadAllText(ThisFile()), "        // written begins\n", "        // written ends"), CodeOf("docs/library.md")[^1]);
    }

    [Fact]
    public async Task An_engine_belongs_to_a_host()
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Configuration.AddInMemoryCollection([new("Chatterbox:Model", TinyCheckpoint.Folder)]);

        // host begins
        builder.Services.AddChatterbox().BindConfiguration("Chatterbox");                  // or AddChatterbox(options => options.Model = "nano")
        builder.Services.AddKeyedChatterbox("fast", options => (options.Model, options.Device) = ("turbo", "cuda:1"));
        // host ends

        await using var provider = builder.Services.BuildServiceProvider();
        var options = provider.GetRequiredService<IOptionsMonitor<ChatterboxOptions>>();
        Assert.Equal((TinyCheckpoint.Folder, "turbo", "cuda:1"), (options.CurrentValue.Model, options.Get("fast").Model, options.Get("fast").Device));
        Assert.Equal(Block(File.ReadAllText(ThisFile()), "        // host begins\n", "        // host ends"), CodeOf("docs/library.md")[2]);
    }

    [Fact]
    public async Task An_engine_is_a_text_to_speech_client()
    {
        var (output, player) = (Path.GetTempFileName(), new MemoryStream());
        await using var engine = new SpeechEngine([() => ChatterboxModel.Load(TinyCheckpoint.Folder)]);

        // AI begins
        using ITextToSpeechClient client = new ChatterboxTextToSpeechClient(engine, new() { ModelId = "nano" });
        var options = new TextToSpeechOptions { AudioFormat = "mp3", Speed = 1.1f, AdditionalProperties = new() { ["temperature"] = 0.7 } };
        var response = await client.GetAudioAsync("Hello there.", options);
        File.WriteAllBytes(output, response.Contents.OfType<DataContent>().Single().Data.Span);
        await foreach (var update in client.GetStreamingAudioAsync("Hello there.", new() { AudioFormat = "pcm" }))
        {
            update.Contents.OfType<DataContent>().ToList().ForEach(audio => player.Write(audio.Data.Span));
        }

        // AI ends
        Assert.NotEqual(0, player.Length);
        Assert.NotEmpty(AudioFile.Load(output).Samples.ToArray());
        var code = Block(File.ReadAllText(ThisFile()), "        // AI begins\n", "        // AI ends");
        Assert.Equal([code, code], [CodeOf("docs/library.md")[3], CodeOf("src/Chatterbox.Net.Extensions.AI/PACKAGE.md")[0]]);
    }

    [Fact]
    public async Task Speech_is_read_by_NAudio()
    {
        var modelFolder = TinyCheckpoint.Folder;
        var recording = Path.Combine(Fixtures.Root, "audio", "aishell_BAC009S0764W0121_16k.wav");
        var output = Path.GetTempFileName();
        var request = new SpeechRequest { Pieces = ["Hello there."], Sampling = new() { Seed = 1 } };
        await using var engine = new SpeechEngine([() => ChatterboxModel.Load(modelFolder)], new EngineOptions(), NullLogger<SpeechEngine>.Instance);

        // NAudio begins
        using var speech = new SpeechSampleProvider(engine.StreamAsync(request));  // 24 kHz, one channel; read while the rest is generated
        WaveFileWriter.CreateWaveFile16(output, speech);                           // or a player's Init(speech)
        using var reader = new WaveFileReader(recording);                          // or any WaveStream or ISampleProvider
        var clip = reader.ReadClip(longest: TimeSpan.FromMinutes(1));              // for engine.CreateVoiceAsync(clip)
        // NAudio ends

        Assert.NotEmpty(WavFile.Read(output).Samples.ToArray());
        Assert.NotNull(await engine.CreateVoiceAsync(clip, cancellationToken: TestContext.Current.CancellationToken));
        var code = Block(File.ReadAllText(ThisFile()), "        // NAudio begins\n", "        // NAudio ends");
        Assert.Equal([code, code], [CodeOf("docs/library.md")[4], CodeOf("src/Chatterbox.Net.NAudio/PACKAGE.md")[0]]);
    }

    /// <summary>The blocks of C# on a page.</summary>
    private static List<string> CodeOf(string page) =>
        [.. File.ReadAllText(Path.Combine(Fixtures.Root, "..", "..", page)).Split("```csharp\n").Skip(1).Select(rest => Block(rest, "", "```"))];

    private static string Block(string text, string from, string to)
    {
        var start = text.IndexOf(from, StringComparison.Ordinal) + from.Length;
        var lines = text[start..text.IndexOf(to, start, StringComparison.Ordinal)].Split('\n');
        return string.Join('\n', lines.Select(line => line.Trim())).Trim();
    }

    private static string ThisFile([System.Runtime.CompilerServices.CallerFilePath] string path = "") => path;
}
