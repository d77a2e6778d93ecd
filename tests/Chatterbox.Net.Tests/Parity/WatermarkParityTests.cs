using Chatterbox.Tests.Watermark;
using Chatterbox.Watermark;

namespace Chatterbox.Tests.Parity;

public class WatermarkParityTests(PerthNetwork network) : IClassFixture<PerthNetwork>
{
    public static TheoryData<string> Clips => Fixtures.All("perth");

    public static TheoryData<string> Speech =>
        [.. new[] { "english", "multilingual", "turbo", "nano" }.SelectMany(variant => Fixtures.All($"e2e-{variant}"))];

    [Theory, MemberData(nameof(Clips))]
    public void The_network_matches(string path)
    {
        using var golden = Fixture.Open(path);
        using var scope = NewDisposeScope();
        var bins = golden["mag"].shape[0];

        var magnitude = network.Spectrum.Magnitude(network.Spectrum.Analyse(TestDevice.Place(golden["clip32"]).unsqueeze(0)));
        Close.Assert(golden, "mag", golden["mag"], magnitude[0].narrow(0, 0, bins), 1e-5);
        Close.AssertEqual(golden, "mask", golden["mask"], PerthEncoder.Mask(network.Config, magnitude));

        var change = network.Encoder.Forward(magnitude)[0].cpu();
        var marked = magnitude[0].narrow(0, 0, bins).cpu();
        marked.narrow(0, 0, change.shape[0]).add_(change);
        Close.Assert(golden, "wm_mag", golden["wm_mag"], marked, 1e-5);
        Close.Assert(golden, "wm_mag less mag", golden["wm_mag"] - golden["mag"], marked - golden["mag"], 1e-4);

        var ours = network.Watermarker.Detect(golden["clip32"].data<float>().ToArray(), network.Config.SampleRate);
        Close.Assert(golden, "confidence", golden["confidence"], tensor(new[] { ours!.Value }), 1e-5);
    }

    [Theory, MemberData(nameof(Clips))]
    public void The_rate_makes_little_difference_to_the_detector(string path)
    {
        using var golden = Fixture.Open(path);
        using var scope = NewDisposeScope();
        var ours = network.Watermarker.Detect(golden["clip"].data<float>().ToArray(), 24000);
        Close.Assert(golden, "confidence at 24 kHz", golden["confidence"], tensor(new[] { ours!.Value }), 2e-2);
    }

    [Theory, MemberData(nameof(Clips))]
    public void A_marked_recording_matches(string path)
    {
        using var golden = Fixture.Open(path);
        AssertMarked(golden, golden["clip"]);
    }

    [Theory, MemberData(nameof(Speech))]
    public void Marked_speech_matches(string path)
    {
        using var golden = Fixture.Open(path);
        AssertMarked(golden, golden["wav"]);
    }

    private void AssertMarked(Fixture golden, Tensor clip)
    {
        using var scope = NewDisposeScope();
        var ours = tensor(network.Watermarker.Mark(clip.data<float>().ToArray(), 24000));
        Close.Assert(golden, "watermarked", golden["watermarked"], ours, 1e-4);
        Close.Assert(golden, "mark alone", golden["watermarked"] - clip, ours - clip, 1e-3);
    }
}
