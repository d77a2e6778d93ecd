using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.NAudio;
using Chatterbox.Tests.Models;
using Chatterbox.Tests.Parity;
using Chatterbox.Voices;
using Microsoft.Extensions.Logging.Abstractions;
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
        WavFile.Write(output, speech.Samples, SpeechResult.SampleRate);            // 24 kHz, mono, watermarked
        // example ends

        Assert.True(new FileInfo(output).Length > 2 * speech.Samples.Length);
        Assert.Equal(speech.Samples, model.Synthesize("Hello there.", VoiceFile.Load(voiceFile).Voice, new SamplingOptions { Seed = 1, Exaggeration = 0.7 }).Samples);
        var code = Block(File.ReadAllText(ThisFile()), "        // example begins\n", "        // example ends");
        Assert.All((string[])["README.md", "docs/library.md"], page => Assert.Equal(code, CodeOf(page)[0]));
    }

    [Fact]
    public async Task Speech_comes_chunk_by_chunk()
    {
        var modelFolder = TinyCheckpoint.Folder;
        using var player = new MemoryStream();

        // chunks begin
        await using var engine = new SpeechEngine([() => ChatterboxModel.Load(modelFolder)], new EngineOptions(), NullLogger<SpeechEngine>.Instance);
        await foreach (var chunk in engine.StreamAsync(new SpeechRequest { Pieces = ["Hello there.", "How are you?"], Sampling = new() { Seed = 1 } }))
        {
            player.Write(Pcm16.Encode(chunk.Samples));                             // follow each other without a gap
        }

        // chunks end
        Assert.NotEqual(0, player.Length);
        Assert.Equal(Block(File.ReadAllText(ThisFile()), "        // chunks begin\n", "        // chunks end"), CodeOf("docs/library.md")[1]);
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

        Assert.NotEmpty(WavFile.Read(output).Samples);
        Assert.NotNull(await engine.CreateVoiceAsync(clip, cancel: TestContext.Current.CancellationToken));
        Assert.Equal(Block(File.ReadAllText(ThisFile()), "        // NAudio begins\n", "        // NAudio ends"), CodeOf("docs/library.md")[2]);
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
