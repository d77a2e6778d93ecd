using Chatterbox.HiFT;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.S3Gen;
using Chatterbox.Watermark;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Parity;

/// <summary>Whole flows from one seed: text to marked waveform, speech tokens to waveform, and voice conversion.</summary>
public class EndToEndParityTests
{
    private const double WaveformBound = 5e-2;   // the stages' bounds add up in the source's phase

    public static TheoryData<string> English => Fixtures.All("e2e-english");

    public static TheoryData<string> Multilingual => Fixtures.All("e2e-multilingual");

    public static TheoryData<string> Turbo => Fixtures.All("e2e-turbo");

    public static TheoryData<string> Nano => Fixtures.All("e2e-nano");

    public static TheoryData<string> Spoken => [.. Fixtures.All("s3gen"), .. Fixtures.All("s3gen-meanflow")];

    public static TheoryData<string> Converted => Fixtures.All("vc");

    [Theory, MemberData(nameof(English))]
    public void Text_to_speech_english(string path) =>
        CheckTextToSpeech(path, () => new T3EnglishParityTests.Model(), "t3-english-0");

    [Theory, MemberData(nameof(Multilingual))]
    public void Text_to_speech_multilingual(string path) =>
        CheckTextToSpeech(path, () => new T3MultilingualParityTests.Model(), "t3-multilingual-0");

    [Theory, MemberData(nameof(Turbo))]
    public void Text_to_speech_turbo(string path) =>
        CheckTextToSpeech(path, () => new T3TurboParityTests.Model(), "t3-turbo");

    [Theory, MemberData(nameof(Nano))]
    public void Text_to_speech_nano(string path) =>
        CheckTextToSpeech(path, () => new T3NanoParityTests.Model(), "t3-nano");

    [Theory, MemberData(nameof(Spoken))]
    public void Speech_tokens_to_waveform(string path)
    {
        using var mode = inference_mode();
        using var golden = Fixture.Open(path);
        using var noise = new NoiseSource(golden.Integer("seed_full"));
        using var voice = new Vocalist(isMeanFlow: golden.Name.EndsWith("meanflow", StringComparison.Ordinal), (int)golden.Integer("steps"));
        using var scope = NewDisposeScope();
        Close.Assert(golden, "full_wav", golden["full_wav"], voice.Speak(Integers(golden["speech_tokens"]), Prompt(golden), noise), WaveformBound);
    }

    [Theory, MemberData(nameof(Converted))]
    public void Voice_conversion(string path)
    {
        using var mode = inference_mode();
        using var golden = Fixture.Open(path);
        using var target = Fixture.Open(T3Parity.Sibling(path, "voice"));
        using var noise = new NoiseSource(golden.Integer("seed"));
        using var voice = new Vocalist(isMeanFlow: false, steps: null);
        using var scope = NewDisposeScope();
        Close.Assert(golden, "wav", golden["wav"], voice.Speak(Integers(golden["tokens"]), Prompt(target), noise), WaveformBound);
    }

    private static void CheckTextToSpeech(string path, Func<LoadedT3> load, string text)
    {
        using var mode = inference_mode();
        using var golden = Fixture.Open(path);
        using var noise = new NoiseSource(golden.Integer("seed"));
        using var scope = NewDisposeScope();
        bool isMeanFlow;
        int[] tokens;
        string voiceFixture;
        using (var t3 = load())
        {
            (isMeanFlow, voiceFixture) = (!t3.Model.Config.Guidance, t3.Voice);
            tokens = T3Parity.BeginEndToEnd(t3, golden, path, text, noise);
        }

        // The mean-flow models say three tokens of silence at the end.
        tokens = [.. tokens, .. isMeanFlow ? Integers(golden["s3gen_tokens"])[^3..] : []];
        Assert.Equal(Integers(golden["s3gen_tokens"]), tokens);

        using var target = Fixture.Open(T3Parity.Sibling(path, voiceFixture));
        using var voice = new Vocalist(isMeanFlow, steps: null);
        var waveform = voice.Speak(tokens, Prompt(target), noise);
        Close.Assert(golden, "wav", golden["wav"], waveform[0], WaveformBound);
        using var marked = tensor(voice.Mark(waveform));
        Close.Assert(golden, "watermarked", golden["watermarked"], marked, WaveformBound);
    }

    private static S3GenPrompt Prompt(Fixture golden) =>
        new(Integers(golden["prompt_token"]), golden["prompt_feat"].flatten().data<float>().ToArray(), golden["xvector"].flatten().data<float>().ToArray());

    private static int[] Integers(Tensor values) => values.to(ScalarType.Int32).flatten().data<int>().ToArray();

    /// <summary>Everything behind T3, at full size.</summary>
    private sealed class Vocalist : IDisposable
    {
        private readonly WeightStore _s3genWeights;
        private readonly WeightStore _watermarkWeights = new(SyntheticTensors.FullSize("perth_net"));
        private readonly S3GenModel _s3gen;
        private readonly HiFTGenerator _hift;
        private readonly PerthWatermarker _watermarker;

        public Vocalist(bool isMeanFlow, int? steps)
        {
            var config = isMeanFlow ? S3GenConfig.MeanFlow : S3GenConfig.Standard;
            config = config with { Flow = config.Flow with { Steps = steps ?? config.Flow.Steps } };
            _s3genWeights = new(SyntheticTensors.FullSize(isMeanFlow ? "s3gen_meanflow" : "s3gen"));
            _s3gen = new(config, _s3genWeights.Root["flow"], TorchOps.Plain);
            _hift = new(new HiFTConfig(), _s3genWeights.Root["mel2wav"], TorchOps.Plain);
            _watermarker = new(new PerthConfig(), _watermarkWeights.Root);
        }

        /// <returns>[1, samples].</returns>
        public Tensor Speak(IReadOnlyList<int> tokens, S3GenPrompt voice, NoiseSource noise) =>
            _hift.FadeIn(_hift.Generate(_s3gen.Generate(tokens, voice, noise), noise));

        public float[] Mark(Tensor waveform) => _watermarker.Mark(waveform.data<float>().ToArray(), SpeechResult.SampleRate);

        public void Dispose()
        {
            _s3genWeights.Dispose();
            _watermarkWeights.Dispose();
        }
    }
}
