using Chatterbox.Voices;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Voices;

public sealed class VoiceFileTests : IDisposable
{
    private static readonly VoiceInfo Info = new("Müller")
    {
        Language = "de",
        Model = "english",
        SourceHash = new string('a', 64),
        Consent = "By letter of 2026-01-02, for the help desk.",
        Created = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.FromHours(2)),
    };

    private readonly string _folder = Directory.CreateTempSubdirectory("voice-").FullName;

    private string File => Path.Combine(_folder, "a.voice");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_voice_comes_back_as_it_was()
    {
        var voice = LongestVoice();
        VoiceFile.Save(File, voice, Info);
        var (loaded, info) = VoiceFile.Load(File);
        Assert.Equal(Info, info);
        Assert.Equal(voice.T3.SpeakerEmbedding, loaded.T3.SpeakerEmbedding);
        Assert.Equal(voice.T3.SpeechTokens, loaded.T3.SpeechTokens);
        Assert.Equal(voice.S3Gen.SpeechTokens, loaded.S3Gen.SpeechTokens);
        Assert.Equal(voice.S3Gen.Mel, loaded.S3Gen.Mel);
        Assert.Equal(voice.S3Gen.XVector, loaded.S3Gen.XVector);
    }

    [Fact]
    public void The_longest_voice_takes_less_than_200_kB()
    {
        VoiceFile.Save(File, LongestVoice(), Info);
        Assert.InRange(new FileInfo(File).Length, 1, 200_000);
    }

    [Fact]
    public void Only_the_name_is_needed()
    {
        VoiceFile.Save(File, LongestVoice(), new VoiceInfo("x"));
        Assert.Equal(new VoiceInfo("x"), VoiceFile.Load(File).Info);
    }

    public static TheoryData<string, Func<Voice, Voice>> Unsound =>
        new()
        {
            { "speaker embedding is empty", v => v with { T3 = v.T3 with { SpeakerEmbedding = [] } } },
            { "speaker embedding holds numbers that are not finite", v => v with { T3 = v.T3 with { SpeakerEmbedding = [float.NaN] } } },
            { "speech tokens for T3 are empty", v => v with { T3 = v.T3 with { SpeechTokens = [] } } },
            { "speech tokens for T3 are not all between 0 and 6560", v => v with { T3 = v.T3 with { SpeechTokens = [6561] } } },
            { "speech tokens for S3Gen are not all between 0 and 6560", v => v with { S3Gen = v.S3Gen with { SpeechTokens = [-1] } } },
            {
                "mel spectrogram holds numbers that are not finite",
                v => v with { S3Gen = v.S3Gen with { Mel = [float.PositiveInfinity] } }
            },
            { "x-vector is empty", v => v with { S3Gen = v.S3Gen with { XVector = [] } } },
        };

    [Theory, MemberData(nameof(Unsound))]
    public void Unsound_voices_are_not_saved(string fault, Func<Voice, Voice> spoil)
    {
        var error = Assert.Throws<VoiceException>(() => VoiceFile.Save(File, spoil(LongestVoice()), Info));
        Assert.Contains(fault, error.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void Long_texts_are_refused() =>
        AssertFault(
            "The voice's consent has 4001 characters",
            () => VoiceFile.Save(File, LongestVoice(), Info with { Consent = new string('x', 4001) })
        );

    [Fact]
    public void A_missing_file_is_named() => AssertFault(File, () => VoiceFile.Load(File));

    [Fact]
    public void A_file_that_is_no_voice_is_refused()
    {
        System.IO.File.WriteAllText(File, "RIFF something else");
        AssertFault("not a sound safetensors file", () => VoiceFile.Load(File));
        System.IO.File.WriteAllBytes(File, new byte[2 << 20]);
        AssertFault("2097152 bytes", () => VoiceFile.Load(File));
    }

    [Fact]
    public void A_truncated_voice_is_refused()
    {
        VoiceFile.Save(File, LongestVoice(), Info);
        System.IO.File.WriteAllBytes(File, System.IO.File.ReadAllBytes(File)[..^4]);
        AssertFault("not a sound safetensors file", () => VoiceFile.Load(File));
    }

    [Theory]
    [InlineData(null, null, "holds tensors of something else")]
    [InlineData("pt", "1", "holds tensors of something else")]
    [InlineData("chatterbox-voice", "2", "version '2'")]
    [InlineData("chatterbox-voice", null, "version ''")]
    [InlineData("chatterbox-voice", "1", "it has no 't3.speaker_embedding'")]
    public void Other_formats_and_versions_are_refused(string? format, string? version, string fault)
    {
        var metadata = new Dictionary<string, string?> { ["format"] = format, ["version"] = version };
        SafetensorsWriter.Write(File, [], metadata.Where(m => m.Value is not null).ToDictionary(m => m.Key, m => m.Value!));
        AssertFault(fault, () => VoiceFile.Load(File));
    }

    [Theory]
    [InlineData("t3.speech_tokens", "expected a row of Int32")]
    [InlineData("s3gen.mel", "[1, 2]")]
    [InlineData("s3gen.x_vector", "not finite")]
    public void Spoilt_tensors_are_named(string key, string fault)
    {
        using var scope = NewDisposeScope();
        VoiceFile.Save(File, LongestVoice(), Info);
        using var file = SafetensorsFile.Open(File);
        var spoilt = key switch
        {
            "t3.speech_tokens" => zeros(5),
            "s3gen.mel" => zeros(1, 2),
            _ => full(192, float.NaN),
        };
        var tensors = file.Tensors.Keys.Select(name => TensorToWrite.From(name, name == key ? spoilt : file.Read(name)));
        var other = Path.Combine(_folder, "other.voice");
        SafetensorsWriter.Write(other, tensors.ToList(), file.Metadata);
        AssertFault(fault, () => VoiceFile.Load(other));
    }

    private static void AssertFault(string fault, Action act) =>
        Assert.Contains(fault, Assert.Throws<VoiceException>(act).Message, StringComparison.Ordinal);

    private static Voice LongestVoice() =>
        new(new(Floats(256), [.. Enumerable.Range(0, 375)]), new([.. Enumerable.Range(6311, 250)], Floats(500 * 80), Floats(192)));

    private static float[] Floats(int count) => [.. Enumerable.Range(0, count).Select(i => MathF.Sin(i))];
}
