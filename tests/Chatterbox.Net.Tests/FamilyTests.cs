using Chatterbox.Audio;
using Chatterbox.Tests.Models;
using Chatterbox.Tests.Weights;
using Chatterbox.Weights;

namespace Chatterbox.Tests;

/// <summary>What the variants of the family differ in, on the tiny model of each.</summary>
public sealed class FamilyTests(FamilyTests.Family family) : IClassFixture<FamilyTests.Family>
{
    private const string Text = "The quick brown fox jumps over the lazy dog.";
    private const string OfBlocks = ",BlockSize,BlockSteps,TimeShift,ScheduleShift,PositionTemperature,FixedPrior";
    private const int SamplesPerToken = 960;

    public static TheoryData<string> Names => ["tiny", "tiny-multilingual", "tiny-turbo", "tiny-nano", "tiny-flash"];

    [Theory]
    [InlineData("tiny-multilingual", -1)] // the last token is noise
    [InlineData("tiny-turbo", 3)] // three tokens of silence
    [InlineData("tiny-nano", 3)]
    [InlineData("tiny-flash", 0)]
    public void Each_variant_stops_by_itself_and_ends_in_its_own_way(string name, int moreTokens)
    {
        var model = family[name];
        foreach (var (seed, text) in new[] { "Hi.", Text, string.Join(' ', Enumerable.Repeat(Text, 9)) }.Index())
        {
            var speech = model.Synthesize(text, model.BuiltInVoice!, new SamplingOptions { Seed = seed });
            Assert.False(speech.ReachedLimit);
            Assert.InRange(speech.SpeechTokens.Count, 10, name == "tiny-flash" ? 1500 : 80); // its speech is as long as the text
            Assert.Equal((speech.SpeechTokens.Count + moreTokens) * SamplesPerToken, speech.Samples.Length);
            Assert.True(speech.Samples.ToArray().Max(Math.Abs) > 1e-4f);
        }
    }

    [Theory, MemberData(nameof(Names))]
    public void One_speech_token_is_enough_to_be_heard(string name)
    {
        var model = family[name];
        var speech = model.Synthesize(Text, model.BuiltInVoice!, new SamplingOptions { Seed = 1, MaxSpeechTokens = 1 });
        Assert.Equal((1, true), (speech.SpeechTokens.Count, speech.ReachedLimit));
        Assert.True(speech.Samples.Length >= SamplesPerToken);
    }

    [Theory]
    [InlineData("tiny", "TopK" + OfBlocks)]
    [InlineData("tiny-multilingual", "TopK" + OfBlocks)]
    [InlineData("tiny-turbo", "Exaggeration,CfgWeight,MinP" + OfBlocks)]
    [InlineData("tiny-nano", "Exaggeration,CfgWeight,MinP" + OfBlocks)]
    [InlineData("tiny-flash", "MinP,TopK,TopP,RepetitionPenalty")]
    public void A_model_says_which_settings_it_lacks_and_refuses_them(string name, string lacking)
    {
        var settings = new Dictionary<string, SamplingOptions>
        {
            ["Exaggeration"] = new() { Exaggeration = 0.7 },
            ["CfgWeight"] = new() { CfgWeight = 0.7 },
            ["MinP"] = new() { MinP = 0.2 },
            ["TopK"] = new() { TopK = 7 },
            ["TopP"] = new() { TopP = 0.7 },
            ["RepetitionPenalty"] = new() { RepetitionPenalty = 2 },
            ["BlockSize"] = new() { BlockSize = 8 },
            ["BlockSteps"] = new() { BlockSteps = 8 },
            ["TimeShift"] = new() { TimeShift = 0.2 },
            ["ScheduleShift"] = new() { ScheduleShift = 1 },
            ["PositionTemperature"] = new() { PositionTemperature = 1 },
            ["FixedPrior"] = new() { FixedPrior = true },
        };
        var model = family[name];
        Assert.Equal(lacking.Split(','), ChatterboxModel.Describe(TinyCheckpoint.FolderOf(name)).LacksSettings);
        foreach (var setting in lacking.Split(','))
        {
            Assert.Equal(
                setting,
                Assert.Throws<RequestException>(() => model.Synthesize(Text, model.BuiltInVoice!, settings[setting])).Parameter
            );
        }
    }

    [Fact]
    public void Flash_speaks_numbers_as_words_and_its_file_of_S3Gen_is_a_mean_flow()
    {
        var model = family["tiny-flash"];
        float[] Speak(string text) =>
            model.Synthesize(text, model.BuiltInVoice!, new SamplingOptions { Seed = 1, MaxSpeechTokens = 16 }).Samples.ToArray();
        Assert.Equal(Speak("twelve"), Speak("12"));
        Assert.NotEqual(Speak("thirteen"), Speak("12"));
        using var s3gen = SafetensorsFile.Open(Path.Combine(TinyCheckpoint.FolderOf("tiny-flash"), "s3gen.safetensors"));
        Assert.Contains("flow.decoder.estimator.time_embed_mixer.weight", s3gen.Tensors.Keys);
    }

    [Fact]
    public void Flash_without_the_row_of_its_mask_is_refused()
    {
        var folder = TinyCheckpoint.Copy("tiny-flash");
        using (var whole = SafetensorsFile.Open(Path.Combine(TinyCheckpoint.FolderOf("tiny-flash"), "t3_flash.safetensors")))
        using (NewDisposeScope())
        {
            SafetensorsWriter.Write(
                Path.Combine(folder, "t3_flash.safetensors"),
                whole.Tensors.Keys.Select(name =>
                    TensorToWrite.From(name, name == "speech_emb.weight" ? whole.Read(name)[..8194].clone() : whole.Read(name))
                )
            );
        }

        var error = Assert.Throws<CheckpointException>(() => ChatterboxModel.Load(folder, new ModelOptions { Device = "cpu" }));
        Assert.Contains("'speech_emb.weight' has shape [8194, 128], expected [8195, 128]", error.Message, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void A_language_is_honoured_or_refused()
    {
        Assert.Equal(23, family["tiny-multilingual"].Languages.Count);
        float[] Speak(string name, string? language) =>
            family[name].Synthesize("Casa", family[name].BuiltInVoice!, new SamplingOptions { Seed = 1 }, language).Samples.ToArray();
        Assert.NotEqual(Speak("tiny-multilingual", "es"), Speak("tiny-multilingual", "it"));
        Assert.NotEqual(Speak("tiny-multilingual", "es"), Speak("tiny-multilingual", null));
        Assert.Equal(Speak("tiny-turbo", "en"), Speak("tiny-turbo", null));
        foreach (
            var (name, language) in new[]
            {
                ("tiny", "fr"),
                ("tiny-turbo", "fr"),
                ("tiny-nano", "fr"),
                ("tiny-flash", "fr"),
                ("tiny-multilingual", "tlh"),
            }
        )
        {
            var error = Assert.Throws<RequestException>(() => Speak(name, language));
            Assert.Equal("language", error.Parameter);
            Assert.Contains(language, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Characters_that_the_model_does_not_know_are_told()
    {
        var model = family["tiny-multilingual"];
        IReadOnlyList<string> Unknown(string text, string language) =>
            model.Synthesize(text, model.BuiltInVoice!, new SamplingOptions { Seed = 1, MaxSpeechTokens = 5 }, language).UnknownCharacters;
        Assert.Equal(["ᚠ", "ᚢ"], Unknown("Runes ᚠ and ᚢ and ᚠ", "en"));
        Assert.Empty(Unknown("Plain text", "en"));
        Assert.Empty(Unknown("你好", "zh")); // the table lies in the folder
    }

    [Fact]
    public void A_language_pack_speaks_its_language_unless_told_otherwise()
    {
        var pack = ChatterboxConfig.Published.Single(config => config.Name == "multilingual-pt-br");
        Assert.Equal(["pt"], pack.Text.Languages);
        Assert.Equal("pt", pack.Text.DefaultLanguage);
        Assert.Equal("s3gen_v3.safetensors", pack.Files.S3Gen[0]);
        Assert.Equal(ChatterboxConfig.Multilingual.T3, pack.T3);
    }

    [Theory]
    [InlineData("tiny", "english")]
    [InlineData("tiny-multilingual", "multilingual")]
    [InlineData("tiny-turbo", "turbo")]
    [InlineData("tiny-nano", "nano")]
    [InlineData("tiny-flash", "flash")]
    public void A_folder_without_a_configuration_is_known_by_its_files(string tiny, string variant)
    {
        var folder = TinyCheckpoint.Copy(tiny);
        File.Delete(Path.Combine(folder, ChatterboxConfig.FileName));
        Assert.Equal(variant, ChatterboxModel.Describe(folder).Name);

        // Either form of weights will do; what neither form of is there is named.
        File.Move(Path.Combine(folder, "ve.safetensors"), Path.Combine(folder, "ve.pt"));
        Assert.Equal(variant, Checkpoint.Open(folder).Config.Name);
        File.Delete(Path.Combine(folder, "ve.pt"));
        var missing = Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder)).Message;
        Assert.Contains($"ve.safetensors or ve.pt of the {variant} model", missing, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    [Theory]
    [InlineData("tiny", "ve", "s3gen", "t3_cfg")]
    [InlineData("tiny-multilingual", "ve", "s3gen", "t3_mtl23ls_v2")]
    [InlineData("tiny-turbo", "ve", "s3gen_meanflow", "t3_turbo_v1")]
    [InlineData("tiny-flash", "ve", "s3gen", "t3_flash")]
    public void A_folder_of_torch_files_is_the_same_model(string name, string ve, string s3gen, string t3)
    {
        var folder = TinyCheckpoint.Copy(name);
        void Rewrite(string from, string to, Func<Dictionary<object, object?>, object?> wrap)
        {
            var path = Path.Combine(folder, from);
            using (var source = SafetensorsFile.Open(path))
            {
                TorchArchive.WriteStateDict(Path.Combine(folder, to), source, wrap);
            }

            File.Delete(path);
        }

        static Action<PickleWriter> StateDict(Dictionary<object, object?> items) =>
            writer => writer.OrderedDict(items.Select(item => (item.Key, item.Value)), withMetadata: true);
        Rewrite($"{ve}.safetensors", $"{ve}.pt", StateDict);
        Rewrite($"{s3gen}.safetensors", $"{s3gen}.pt", StateDict);
        Rewrite(
            $"{t3}.safetensors",
            $"{t3}.pt",
            items => new Dictionary<object, object?> { ["model"] = new List<object?> { StateDict(items) } }
        );
        Rewrite(
            "perth_net.safetensors",
            "perth_net_250000.pth.tar",
            items => new Dictionary<object, object?> { ["model"] = StateDict(items), ["step"] = 250_000L }
        );
        Assert.Single(Directory.GetFiles(folder, "*.safetensors")); // the voice

        using (var model = ChatterboxModel.Load(folder, new ModelOptions { Device = "cpu" }))
        {
            float[] Speak(ChatterboxModel speaker) =>
                speaker.Synthesize(Text, speaker.BuiltInVoice!, new SamplingOptions { Seed = 1 }).Samples.ToArray();
            Assert.Equal(Speak(family[name]), Speak(model));
            Assert.Equal(family[name].CreateVoice(Hum(6)).T3.SpeechTokens, model.CreateVoice(Hum(6)).T3.SpeechTokens);
            Assert.Equal(family[name].CreateVoice(Hum(6)).T3.SpeakerEmbedding, model.CreateVoice(Hum(6)).T3.SpeakerEmbedding);
        }

        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void Of_several_models_in_a_folder_the_one_that_is_named_is_taken()
    {
        var folder = TinyCheckpoint.Copy("tiny-multilingual");
        File.Delete(Path.Combine(folder, ChatterboxConfig.FileName));
        File.Copy(Path.Combine(folder, "t3_mtl23ls_v2.safetensors"), Path.Combine(folder, "t3_mtl23ls_v3.safetensors"));
        File.Copy(Path.Combine(folder, "t3_mtl23ls_v2.safetensors"), Path.Combine(folder, "t3_cfg.safetensors"));
        Assert.Equal("multilingual", Checkpoint.Open(folder).Config.Name); // English lacks its tokenizer
        Assert.Equal("multilingual-v3", Checkpoint.Open(folder, "multilingual-v3").Config.Name);
        Assert.Contains(
            "tokenizer.json of the english model",
            Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder, "english")).Message,
            StringComparison.Ordinal
        );
        Assert.Contains(
            "no variant 'tubro'",
            Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder, "tubro")).Message,
            StringComparison.Ordinal
        );
        Directory.Delete(folder, recursive: true);
    }

    [Theory, MemberData(nameof(Names))]
    public void Every_model_converts_a_recording_and_marks_it(string name)
    {
        var model = family[name];
        var source = Hum(seconds: 2);
        var first = model.ConvertVoice(source, model.BuiltInVoice!, seed: 1);
        Assert.Equal(50, first.SpeechTokens.Count);
        Assert.Equal(50 * SamplesPerToken, first.Samples.Length);
        Assert.Equal(first.Samples, model.ConvertVoice(source, model.BuiltInVoice!, seed: 1).Samples);
        Assert.NotEqual(first.Samples.ToArray(), model.ConvertVoice(source, model.BuiltInVoice!, seed: 2).Samples.ToArray());
        Assert.NotNull(model.DetectWatermark(new AudioClip(first.Samples, SpeechResult.SampleRate)));
    }

    [Fact]
    public void What_cannot_be_converted_is_refused()
    {
        var model = family["tiny"];
        var voice = model.BuiltInVoice!;
        Assert.Throws<VoiceException>(() => model.ConvertVoice(new AudioClip((float[])[], 16_000), voice));
        Assert.Throws<VoiceException>(() =>
            model.ConvertVoice(new AudioClip((float[])[0.1f, float.NaN, .. new float[16_000]], 16_000), voice)
        );
        Assert.Throws<OperationCanceledException>(() =>
            model.ConvertVoice(Hum(1), voice, cancellationToken: new CancellationToken(canceled: true))
        );
    }

    /// <summary>A vowel-like hum, at 16 kHz, that pauses every half second.</summary>
    internal static AudioClip Hum(double seconds) =>
        new(
            (float[])
                [
                    .. Enumerable
                        .Range(0, (int)(seconds * 16_000))
                        .Select(i => 0.3f * MathF.Sin(i * 0.05f) * MathF.Sin(i * 0.31f) * MathF.Abs(MathF.Sin(MathF.PI * i / 8000f))),
                ],
            16_000
        );

    public sealed class Family : IDisposable
    {
        private readonly Dictionary<string, ChatterboxModel> _models = [];

        public ChatterboxModel this[string name] =>
            _models.TryGetValue(name, out var model)
                ? model
                : _models[name] = ChatterboxModel.Load(TinyCheckpoint.FolderOf(name), new ModelOptions { Device = "cpu" });

        public void Dispose()
        {
            foreach (var model in _models.Values)
            {
                model.Dispose();
            }
        }
    }
}
