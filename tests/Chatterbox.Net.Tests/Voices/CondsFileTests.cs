using Chatterbox.Tests.Weights;
using Chatterbox.Voices;
using CsCheck;

namespace Chatterbox.Tests.Voices;

public sealed class CondsFileTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Theory]
    [InlineData(150, 157, 314, "cpu", false)] // the published file of the English and multilingual models
    [InlineData(375, 250, 500, "cuda:0", true)] // of Turbo and Nano
    public void A_published_voice_becomes_a_Voice(int t3Tokens, int promptTokens, int frames, string device, bool noise)
    {
        var conds = new Conds(t3Tokens, promptTokens, frames) { Device = device, ExtraEmbedding = noise };
        var voice = Read(conds);
        Assert.Equal(conds.Floats("t3.speaker_emb"), voice.T3.SpeakerEmbedding);
        Assert.Equal(conds.Tokens("t3.cond_prompt_speech_tokens"), voice.T3.SpeechTokens);
        Assert.Equal(conds.Tokens("gen.prompt_token"), voice.S3Gen.SpeechTokens);
        Assert.Equal(conds.Floats("gen.prompt_feat"), voice.S3Gen.Mel);
        Assert.Equal(conds.Floats("gen.embedding"), voice.S3Gen.XVector);
        Assert.Equal(
            (256, t3Tokens, promptTokens, frames * 80, 192),
            (
                voice.T3.SpeakerEmbedding.Count,
                voice.T3.SpeechTokens.Count,
                voice.S3Gen.SpeechTokens.Count,
                voice.S3Gen.Mel.Count,
                voice.S3Gen.XVector.Count
            )
        );
    }

    [Fact]
    public void Prompt_tokens_beyond_their_stated_number_are_padding()
    {
        var conds = new Conds(150, 157, 314) { PromptLength = 100 };
        var voice = Read(conds);
        Assert.Equal(conds.Tokens("gen.prompt_token").Take(100), voice.S3Gen.SpeechTokens);
    }

    [Fact]
    public void There_are_two_mel_frames_for_each_prompt_token() =>
        Assert.Contains(
            "has 313 frames for 157 prompt tokens",
            Assert.Throws<CheckpointException>(() => Read(new Conds(150, 157, 313))).Message,
            StringComparison.Ordinal
        );

    [Fact]
    public void Smaller_models_have_smaller_voices()
    {
        var voice = Read(
            new Conds(5, 6, 12)
            {
                SpeakerSize = 16,
                MelBands = 8,
                XVectorSize = 12,
            },
            16,
            8,
            12
        );
        Assert.Equal((16, 96, 12), (voice.T3.SpeakerEmbedding.Count, voice.S3Gen.Mel.Count, voice.S3Gen.XVector.Count));
    }

    public static TheoryData<string, string, object?> Faults =>
        new()
        {
            { "missing or None", "t3.speaker_emb", null },
            { "missing or None", "t3.cond_prompt_speech_tokens", null },
            { "missing or None", "gen.embedding", null },
            { "missing or None", "gen.prompt_feat", "a text" },
            { "has shape [1, 255], expected [1, 256]", "t3.speaker_emb", new float[255] },
            { "has shape [1, 79], expected [1, any, 80]", "gen.prompt_feat", new float[79] },
            { "has shape [1, 0], expected [1, any]", "gen.prompt_token", Array.Empty<long>() },
            { "infinite or no numbers", "gen.embedding", Enumerable.Repeat(float.NaN, 192).ToArray() },
            { "has element type Float32, expected integers", "gen.prompt_token", new float[157] },
            { "has element type Int64, expected floating-point numbers", "t3.speaker_emb", new long[256] },
            { "has 6561 at 1, expected speech tokens from 0 to 6560", "gen.prompt_token", (long[])[0, 6561] },
            { "has -1 at 0", "t3.cond_prompt_speech_tokens", (long[])[-1] },
            { "is 0, but there are 157", "gen.prompt_token_len", 0L },
            { "is 158, but there are 157", "gen.prompt_token_len", 158L },
        };

    [Theory]
    [MemberData(nameof(Faults), DisableDiscoveryEnumeration = true)]
    public void What_does_not_fit_is_named(string message, string name, object? instead)
    {
        var error = Assert.Throws<CheckpointException>(() => Read(new Conds(150, 157, 314) { Instead = { [name] = instead } }));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.Contains($"'{name}'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Any_damage_ends_in_a_voice_or_an_error()
    {
        var sound = new Conds(3, 4, 8)
        {
            SpeakerSize = 2,
            MelBands = 2,
            XVectorSize = 2,
        }.Bytes();
        Gen.Select(Gen.Int[0, sound.Length - 1], Gen.Byte)
            .Array[1, 4]
            .Sample(
                edits =>
                {
                    var bytes = sound.ToArray();
                    foreach (var (at, value) in edits)
                    {
                        bytes[at] = value;
                    }

                    File.WriteAllBytes(_path, bytes);
                    try
                    {
                        CondsFile.Read(_path, 2, 2, 2);
                    }
                    catch (CheckpointException)
                    {
                        // The other of the two allowed ends.
                    }
                },
                iter: 2000,
                threads: 1
            );
    }

    private Voice Read(Conds conds, int speakerSize = 256, int melBands = 80, int xVectorSize = 192)
    {
        File.WriteAllBytes(_path, conds.Bytes());
        return CondsFile.Read(_path, speakerSize, melBands, xVectorSize);
    }

    /// <summary>A conds.pt as the Python package saves it: its keys, element types, shapes and Nones.</summary>
    private sealed class Conds(int t3Tokens, int promptTokens, int frames)
    {
        private readonly Dictionary<string, Array> _values = [];

        public string Device { get; init; } = "cpu";

        public int SpeakerSize { get; init; } = 256;

        public int MelBands { get; init; } = 80;

        public int XVectorSize { get; init; } = 192;

        public long PromptLength { get; init; } = promptTokens;

        /// <summary>Saved after a generation, when T3 has left its embedding of the prompt in the dict.</summary>
        public bool ExtraEmbedding { get; init; }

        public Dictionary<string, object?> Instead { get; } = [];

        public float[] Floats(string name) => (float[])_values[name];

        public IEnumerable<int> Tokens(string name) => ((long[])_values[name]).Select(token => (int)token);

        public byte[] Bytes()
        {
            var storages = new List<(string Key, byte[] Data)>();
            object? Tensor(string name, long[] shape, Func<int, object> element)
            {
                if (Instead.TryGetValue(name, out var other))
                {
                    if (other is not (Array or long))
                    {
                        return other;
                    }

                    var array = other as Array ?? (long[])[(long)other];
                    return Store(array, other is long ? [1] : [1, array.Length], storages);
                }

                var count = (int)shape.Aggregate(1L, (n, d) => n * d);
                Array values =
                    element(0) is float
                        ? Enumerable.Range(0, count).Select(i => (float)element(i)).ToArray()
                        : Enumerable.Range(0, count).Select(i => (long)element(i)).ToArray();
                _values[name] = values;
                return Store(values, shape, storages);
            }

            var pickle = PickleWriter.Whole(p =>
                p.Value(
                    new Dictionary<object, object?>
                    {
                        ["t3"] = new Dictionary<object, object?>
                        {
                            ["speaker_emb"] = Tensor("t3.speaker_emb", [1, SpeakerSize], i => i * 0.25f),
                            ["clap_emb"] = null,
                            ["cond_prompt_speech_tokens"] = Tensor(
                                "t3.cond_prompt_speech_tokens",
                                [1, t3Tokens],
                                i => (long)(i * 37 % 6561)
                            ),
                            ["cond_prompt_speech_emb"] = ExtraEmbedding
                                ? Tensor("t3.cond_prompt_speech_emb", [1, t3Tokens, 16], i => 0f)
                                : null,
                            ["emotion_adv"] = Tensor("t3.emotion_adv", [1, 1, 1], i => 0.5f),
                        },
                        ["gen"] = new Dictionary<object, object?>
                        {
                            ["prompt_token"] = Tensor("gen.prompt_token", [1, promptTokens], i => 6560L - i),
                            ["prompt_token_len"] = Tensor("gen.prompt_token_len", [1], i => PromptLength),
                            ["prompt_feat"] = Tensor("gen.prompt_feat", [1, frames, MelBands], i => -i * 0.5f),
                            ["prompt_feat_len"] = null,
                            ["embedding"] = Tensor("gen.embedding", [1, XVectorSize], i => i - 7f),
                        },
                    }
                )
            );
            return TorchArchive.Of(pickle, [.. storages]);
        }

        private Action<PickleWriter> Store(Array values, long[] shape, List<(string Key, byte[] Data)> storages)
        {
            var data = new byte[Buffer.ByteLength(values)];
            Buffer.BlockCopy(values, 0, data, 0, data.Length);
            var key = $"{storages.Count}";
            storages.Add((key, data));
            var strides = shape.Select((_, i) => shape.Skip(i + 1).Aggregate(1L, (n, d) => n * d)).ToArray();
            return writer =>
                writer.Tensor(values is float[] ? "FloatStorage" : "LongStorage", key, values.Length, 0, shape, strides, Device);
        }
    }
}
