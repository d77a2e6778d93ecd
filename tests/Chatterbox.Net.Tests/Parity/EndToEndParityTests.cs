using Chatterbox.Audio;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.T3.Blocks;
using Chatterbox.Watermark;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Parity;

/// <summary>Whole flows from one seed: text to marked waveform, speech tokens to waveform, and voice conversion.</summary>
public class EndToEndParityTests
{
    private const double WaveformBound = 5e-2; // the stages' bounds add up in the source's phase

    public static TheoryData<string> English => Fixtures.All("e2e-english");

    public static TheoryData<string> Multilingual => Fixtures.All("e2e-multilingual");

    public static TheoryData<string> Turbo => Fixtures.All("e2e-turbo");

    public static TheoryData<string> Nano => Fixtures.All("e2e-nano");

    public static TheoryData<string> Flash => Fixtures.All("flash-e2e");

    public static TheoryData<string> Spoken => [.. Fixtures.All("s3gen"), .. Fixtures.All("s3gen-meanflow")];

    public static TheoryData<string> Converted => Fixtures.All("vc");

    [Theory, MemberData(nameof(English))]
    public void Text_to_speech_english(string path) =>
        CheckTextToSpeech(path, ChatterboxConfig.English, () => new T3EnglishParityTests.Model(), "t3-english-0");

    [Theory, MemberData(nameof(Multilingual))]
    public void Text_to_speech_multilingual(string path) =>
        CheckTextToSpeech(path, ChatterboxConfig.Multilingual, () => new T3MultilingualParityTests.Model(), "t3-multilingual-0");

    [Theory, MemberData(nameof(Turbo))]
    public void Text_to_speech_turbo(string path) =>
        CheckTextToSpeech(path, ChatterboxConfig.Turbo, () => new T3TurboParityTests.Model(), "t3-turbo");

    [Theory, MemberData(nameof(Nano))]
    public void Text_to_speech_nano(string path) =>
        CheckTextToSpeech(path, ChatterboxConfig.Nano, () => new T3NanoParityTests.Model(), "t3-nano");

    [Theory, MemberData(nameof(Spoken))]
    public void Speech_tokens_to_waveform(string path)
    {
        using var mode = inference_mode();
        using var golden = Fixture.Open(path);
        using var noise = new NoiseSource(golden.Integer("seed_full"));
        var config = golden.Name.EndsWith("meanflow", StringComparison.Ordinal) ? ChatterboxConfig.Turbo : ChatterboxConfig.English;
        var flow = config.S3Gen.Flow with { Steps = (int)golden.Integer("steps") };
        using var networks = new BehindT3(config with { S3Gen = config.S3Gen with { Flow = flow } });
        using var scope = NewDisposeScope();
        var waveform = networks.SpeechDecoder.Speak(Integers(golden["speech_tokens"]), Prompt(golden), noise);
        Close.Assert(golden, "full_wav", golden["full_wav"], networks.SpeechDecoder.FadeIn(waveform), WaveformBound);
    }

    [Theory, MemberData(nameof(Converted))]
    public void Voice_conversion(string path)
    {
        using var mode = inference_mode();
        using var golden = Fixture.Open(path);
        using var target = Fixture.Open(T3Parity.Sibling(path, "voice"));
        using var noise = new NoiseSource(golden.Integer("seed"));
        using var networks = new BehindT3(ChatterboxConfig.English);
        using var scope = NewDisposeScope();
        var source = new AudioClip(golden["source16"].data<float>().ToArray(), 16_000);
        var converter = new VoiceConverter(networks.SpeechDecoder, networks.S3Gen.Reference.SpeechTokenizer, source, Prompt(target), noise);
        var samples = converter.Next(cancellationToken: TestContext.Current.CancellationToken);
        Assert.True(converter.IsOver);
        Assert.Equal(Integers(golden["tokens"]), converter.SpeechTokens);
        Close.Assert(golden, "wav", golden["wav"].flatten(), tensor(samples), WaveformBound);
    }

    [Theory, MemberData(nameof(Flash))]
    public void Text_to_speech_flash(string path)
    {
        using var mode = inference_mode();
        using var golden = Fixture.Open(path);
        using var noise = new NoiseSource(golden.Integer("seed"));
        using var scope = NewDisposeScope();
        var passes = new List<BlockPass>();
        int[] tokens;
        using (var t3 = new FlashParityTests.Model())
        {
            tokens = FlashParity.Generate(t3, golden, path, passes.Add, noise: noise);
        }

        FlashParity.AssertPasses(golden, passes);
        Assert.Equal(Integers(golden["speech_tokens"]), tokens);
        var config = ChatterboxConfig.Flash;
        var flow = config.S3Gen.Flow with { Steps = (int)golden.Integer("n_cfm_timesteps") };
        CheckSound(
            golden,
            T3Parity.Sibling(path, "voice"),
            config with
            {
                S3Gen = config.S3Gen with { Flow = flow },
            },
            config.T3.SpeechCodesOf(tokens),
            noise
        );
    }

    private static void CheckTextToSpeech(string path, ChatterboxConfig config, Func<LoadedT3> load, string text)
    {
        using var mode = inference_mode();
        using var golden = Fixture.Open(path);
        using var noise = new NoiseSource(golden.Integer("seed"));
        using var scope = NewDisposeScope();
        int[] tokens;
        string voiceFixture;
        using (var t3 = load())
        {
            voiceFixture = t3.Voice;
            tokens = T3Parity.BeginEndToEnd(t3, golden, path, text, noise);
        }

        CheckSound(golden, T3Parity.Sibling(path, voiceFixture), config, tokens, noise);
    }

    /// <summary>Everything after T3, from its tokens and the random numbers that it left.</summary>
    private static void CheckSound(Fixture golden, string voice, ChatterboxConfig config, int[] tokens, NoiseSource noise)
    {
        Assert.Equal(Integers(golden["s3gen_tokens"]), tokens.Concat(config.TailTokens));

        using var target = Fixture.Open(voice);
        using var networks = new BehindT3(config with { CutTokens = 0 }); // recorded before the reference cuts
        var (prompt, speechDecoder) = (Prompt(target), networks.SpeechDecoder);
        var flowed = speechDecoder.S3Gen.Flow.Integrate(
            speechDecoder.BeginText(tokens, prompt, noise),
            progress: null,
            TestContext.Current.CancellationToken
        );
        if (golden.Tensors.Contains("mel"))
        {
            Close.Assert(golden, "mel", golden["mel"], speechDecoder.S3Gen.End(flowed, prompt), 1e-4);
        }

        var samples = speechDecoder.EndText(flowed, tokens.Length, prompt, noise, checks: null);
        Close.Assert(golden, "wav", golden["wav"], samples, WaveformBound);
        Close.Assert(
            golden,
            "watermarked",
            golden["watermarked"],
            networks.Watermarker.Mark(samples, SpeechResult.SampleRate),
            WaveformBound
        );
    }

    private static S3GenPrompt Prompt(Fixture golden) =>
        new(
            Integers(golden["prompt_token"]),
            golden["prompt_feat"].flatten().data<float>().ToArray(),
            golden["xvector"].flatten().data<float>().ToArray()
        );

    private static int[] Integers(Tensor values) => values.to(ScalarType.Int32).flatten().data<int>().ToArray();

    /// <summary>Everything behind T3, at full size.</summary>
    private sealed class BehindT3 : IDisposable
    {
        private readonly WeightStore _weights;
        private readonly WeightStore _watermark = new(SyntheticTensors.FullSize("perth_net"));

        public BehindT3(ChatterboxConfig config)
        {
            _weights = new(SyntheticTensors.FullSize(SyntheticCheckpoint.S3GenOf(config)));
            S3Gen = new(config, _weights.Root, TorchOps.Plain);
            SpeechDecoder = new(config, S3Gen.S3Gen, S3Gen.HiFT);
            Watermarker = new(config.Watermark, _watermark.Root);
        }

        public S3GenNetworks S3Gen { get; }

        public SpeechDecoder SpeechDecoder { get; }

        public PerthWatermarker Watermarker { get; }

        public void Dispose()
        {
            _weights.Dispose();
            _watermark.Dispose();
        }
    }
}
