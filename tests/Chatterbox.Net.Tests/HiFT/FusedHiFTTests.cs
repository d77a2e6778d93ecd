using Chatterbox.HiFT;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.Tests.Parity;
using Chatterbox.Weights;

namespace Chatterbox.Tests.HiFT;

/// <summary>The vocoder on fused kernels, judged by what is heard of it: magnitude spectra.</summary>
public sealed class FusedHiFTTests : IDisposable
{
    private const double SpectrumBound = 4e-3; // measured: 5e-4 to 1e-3
    private const double PitchBound = 1e-5,
        SourceBound = 1e-4;

    private readonly List<WeightStore> _stores = [];

    public static TheoryData<string> Files => [.. Fixtures.All("s3gen"), .. Fixtures.All("s3gen-meanflow")];

    public static TheoryData<int, int> Lengths =>
        new()
        {
            { 1, 1 },
            { 1, 17 },
            { 2, 63 },
            { 1, 129 },
            { 1, 500 },
        };

    [Theory, MemberData(nameof(Files))]
    public void Spectra_are_close_to_the_reference(string path)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var golden = Fixture.Open(path);
        var ours = Build(device, Precision.Fast).Decode(golden["mel"].to(device), golden["source"].to(device));
        Close.Assert(golden, "spectrum", Spectrum(golden["wav"]), Spectrum(ours.cpu()), SpectrumBound);
    }

    [Theory, MemberData(nameof(Lengths))]
    public void Any_length_is_as_the_plain_operations_have_it(int rows, int frames)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var (fused, plain) = (Build(device, Precision.Fast), Build(device, Precision.Full));
        var generator = new Generator(9);
        var mel = (randn([rows, 80, frames], generator: generator) - 3).to(device);
        var source = (0.1 * randn([rows, 1, frames * 480], generator: generator)).to(device);
        var (expected, ours) = (plain.Decode(mel, source), fused.Decode(mel, source));
        Assert.Equal(expected.shape, ours.shape);
        AssertSame(Spectrum(expected.cpu()), Spectrum(ours.cpu()), SpectrumBound, "spectrum");
    }

    [Theory, MemberData(nameof(Lengths))]
    public void Pitch_is_as_the_plain_operations_have_it(int rows, int frames)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var (fused, plain) = (Build(device, Precision.Fast), Build(device, Precision.Full));
        var mel = (randn([rows, 80, frames], generator: new Generator(9)) - 3).to(device);
        AssertSame(plain.PredictF0(mel), fused.PredictF0(mel), PitchBound, "pitch");
    }

    [Theory, MemberData(nameof(Lengths))]
    public void The_source_is_as_the_plain_operations_have_it(int rows, int frames)
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var (fused, plain) = (Build(device, Precision.Fast), Build(device, Precision.Full));
        var generator = new Generator(9);
        var f0 = (300 * rand([rows, frames], generator: generator)).to(device);
        f0 = where(f0.le(60), zeros([], device: device), f0); // some frames are unvoiced
        using var noise = new NoiseSource(9);
        var drawn = fused.DrawNoise(noise, rows, frames);
        AssertSame(plain.MakeSource(f0, drawn), fused.MakeSource(f0, drawn), SourceBound, "source");
        var cycles = fused.CountCycles(f0);
        AssertSame(plain.MakeSource(f0, drawn, cycles), fused.MakeSource(f0, drawn, cycles), SourceBound, "source, later");
    }

    [Fact]
    public void Mel_that_is_not_a_number_is_not_made_finite()
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var mel = full([1, 80, 40], float.NaN, device: device);
        Assert.True(Build(device, Precision.Fast).Decode(mel, zeros([1, 1, 40 * 480], device: device)).isnan().all().item<bool>());
    }

    public void Dispose() => _stores.ForEach(store => store.Dispose());

    private HiFTGenerator Build(Device device, Precision precision)
    {
        var store = new WeightStore(SyntheticTensors.FullSize("s3gen"), device);
        _stores.Add(store);
        var hift = new HiFTGenerator(new(), store.Root["mel2wav"], TorchOps.Plain, precision);
        Assert.Equal(precision == Precision.Full, hift.NotFusedReason is not null);
        return hift;
    }

    private static void AssertSame(Tensor expected, Tensor ours, double bound, string what)
    {
        Assert.Equal(expected.shape, ours.shape);
        Close.AssertWithin(what, Close.RelativeError(expected, ours), bound);
    }

    private static Tensor Spectrum(Tensor samples) => stft(samples, 256, 64, 256, hann_window(256), return_complex: true).abs();
}
