using Chatterbox.Tests.HiFT;

namespace Chatterbox.Tests.Parity;

public class HiFTParityTests(HiFTNetwork network) : IClassFixture<HiFTNetwork>
{
    public static TheoryData<string> Files => [.. Fixtures.All("s3gen"), .. Fixtures.All("s3gen-meanflow")];

    [Theory, MemberData(nameof(Files))]
    public void F0_source_and_waveform_match(string path)
    {
        using var mode = inference_mode();
        using var golden = Fixture.Open(path);
        using var noise = new NoiseSource(golden.Integer("seed_vocoder"));
        using var scope = NewDisposeScope();
        var mel = TestDevice.Place(golden["mel"]);

        var f0 = network.HiFT.PredictF0(mel);
        Close.Assert(golden, "f0", golden["f0"], f0, 1e-4);

        var source = network.HiFT.MakeSource(f0, network.HiFT.DrawNoise(noise, 1, mel.shape[2]));
        Close.Assert(golden, "source", golden["source"], source, 5e-3);

        Close.Assert(golden, "wav", golden["wav"], network.HiFT.Decode(mel, source), 5e-3);
    }

    [Theory, MemberData(nameof(Files))]
    public void Source_and_waveform_match_from_recorded_inputs(string path)
    {
        using var mode = inference_mode();
        using var golden = Fixture.Open(path);
        using var noise = new NoiseSource(golden.Integer("seed_vocoder"));
        using var scope = NewDisposeScope();
        var mel = TestDevice.Place(golden["mel"]);

        var source = network.HiFT.MakeSource(TestDevice.Place(golden["f0"]), network.HiFT.DrawNoise(noise, 1, mel.shape[2]));
        Close.Assert(golden, "source from f0", golden["source"], source, 1e-5);
        Close.Assert(golden, "wav from source", golden["wav"], network.HiFT.Decode(mel, TestDevice.Place(golden["source"])), 1e-4);
    }

    [Theory, MemberData(nameof(Files))]
    public void The_whole_waveform_starts_faded_in(string path)
    {
        using var golden = Fixture.Open(path);
        using var scope = NewDisposeScope();
        var theirs = golden["full_wav"];
        var silent = network.HiFT.FadeIn(TestDevice.Place(ones_like(theirs))).cpu() == 0;
        Assert.Equal(0, theirs[silent].abs().max().item<float>());
        Assert.NotEqual(0, theirs[~silent].narrow(0, 0, 2).abs().max().item<float>());
    }
}
