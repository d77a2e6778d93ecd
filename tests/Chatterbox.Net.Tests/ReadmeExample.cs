using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Tests.Models;
using Chatterbox.Tests.Parity;
using Chatterbox.Voices;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chatterbox.Tests;

public class ReadmeExample
{
    [Fact]
    public void The_readmes_example_is_this_code_and_works()
    {
        var recording = Path.Combine(Fixtures.Root, "audio", "aishell_BAC009S0764W0121_16k.wav");
        var modelFolder = TinyCheckpoint.Folder;
        var voiceFile = Path.GetTempFileName();
        var output = Path.GetTempFileName();

        // README begins
        using var model = ChatterboxModel.Load(modelFolder);                       // a published or converted checkpoint
        var voice = model.CreateVoice(AudioFile.Load(recording));                  // some seconds of one speaker
        VoiceFile.Save(voiceFile, voice, new VoiceInfo("someone"));                // to be loaded instead of the recording
        var speech = model.Synthesize("Hello there.", voice, new SamplingOptions { Seed = 1, Exaggeration = 0.7 });
        WavFile.Write(output, speech.Samples, SpeechResult.SampleRate);            // 24 kHz, mono, watermarked
        // README ends

        Assert.True(new FileInfo(output).Length > 2 * speech.Samples.Length);
        Assert.Equal(speech.Samples, model.Synthesize("Hello there.", VoiceFile.Load(voiceFile).Voice, new SamplingOptions { Seed = 1, Exaggeration = 0.7 }).Samples);
        Assert.Equal(Block(File.ReadAllText(ThisFile()), "        // README begins\n", "        // README ends"), Block(File.ReadAllText(Path.Combine(Fixtures.Root, "..", "..", "README.md")), "```csharp\n", "```"));
    }

    [Fact]
    public async Task The_readmes_example_of_chunks_is_this_code_and_works()
    {
        var modelFolder = TinyCheckpoint.Folder;
        using var player = new MemoryStream();

        // README goes on
        await using var engine = new SpeechEngine([() => ChatterboxModel.Load(modelFolder)], new EngineOptions(), NullLogger<SpeechEngine>.Instance);
        await foreach (var chunk in engine.StreamAsync(new SpeechRequest { Pieces = ["Hello there.", "How are you?"], Sampling = new() { Seed = 1 } }))
        {
            player.Write(Pcm16.Encode(chunk.Samples));                             // follow each other without a gap
        }

        // README ends here
        Assert.NotEqual(0, player.Length);
        var readme = File.ReadAllText(Path.Combine(Fixtures.Root, "..", "..", "README.md"));
        Assert.Equal(Block(File.ReadAllText(ThisFile()), "        // README goes on\n", "        // README ends here"), Block(readme[(readme.IndexOf("```csharp", StringComparison.Ordinal) + 1)..], "```csharp\n", "```"));
    }

    private static string Block(string text, string from, string to)
    {
        var start = text.IndexOf(from, StringComparison.Ordinal) + from.Length;
        var lines = text[start..text.IndexOf(to, start, StringComparison.Ordinal)].Split('\n');
        return string.Join('\n', lines.Select(line => line.Trim())).Trim();
    }

    private static string ThisFile([System.Runtime.CompilerServices.CallerFilePath] string path = "") => path;
}
