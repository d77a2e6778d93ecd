using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.Streaming;

/// <summary>Whether a meter finds where speech was put together: each measure at the seams against the same at points in
/// between that lie as they do on the grid of speech tokens.</summary>
public sealed class SeamTests
{
    private const int Texts = 50;
    private const int SamplesPerToken = 960;
    private const int Hop = 96; // 4 ms
    private const int Window = 480;
    private const int Margin = 2000; // points in between are as far from seams and ends

    private static readonly string[] Measures = ["sample step", "spectral flux", "phase"];

    [Theory, InlineData("tiny"), InlineData("tiny-turbo")]
    public void Nothing_stands_out_where_chunks_join_and_where_one_pass_of_S3Gen_follows_another(string model)
    {
        using var tiny = new TinySpeechDecoder(model);
        var lag = tiny.Config.S3Gen.Encoder.Lookahead + (tiny.SpeechDecoder.HiFT.Lookahead / 2);
        var (joins, passes) = (new List<Speech>(), new List<Speech>());
        for (var text = 0; text < Texts; text++)
        {
            using var assembler = tiny.Speak(seed: text, leftContext: 25);
            var tokens = tiny.Tokens(text, 60);
            var (samples, ends) = (new List<float>(), new List<int>());
            int[] known = [25, 31, 43];
            foreach (var count in known)
            {
                samples.AddRange(assembler.Next(tokens[..count], last: false, CancellationToken.None));
                ends.Add(samples.Count);
            }

            samples.AddRange(assembler.Next(tokens, last: true, CancellationToken.None));
            joins.Add(new([.. samples], [.. ends]));
            passes.Add(new([.. samples], [.. known.Select(count => (count - lag) * SamplesPerToken)]));
        }

        Assert.All(Rank("joins of chunks, " + model, joins), rank => Assert.InRange(rank, 0.4, 0.6));
        Assert.All(Rank("seams of passes, " + model, passes), rank => Assert.InRange(rank, 0.4, 0.6));
    }

    [Fact]
    public void Pieces_that_know_nothing_of_each_other_stand_out()
    {
        using var tiny = new TinySpeechDecoder("tiny-turbo");
        var speeches = Enumerable
            .Range(0, Texts)
            .Select(text =>
            {
                var (samples, ends) = (new List<float>(), new List<int>());
                foreach (var piece in tiny.Tokens(text, 60).Chunk(20))
                {
                    using var alone = tiny.Speak(seed: text, leftContext: 0);
                    samples.AddRange(alone.Next(piece, last: true, CancellationToken.None).AsSpan(0, 20 * SamplesPerToken));
                    ends.Add(samples.Count);
                }

                return new Speech([.. samples], [.. ends.SkipLast(1)]);
            });
        Assert.Contains(Rank("pieces alone", speeches), rank => rank > 0.8);
    }

    [Theory, InlineData(null), InlineData("sample step"), InlineData("spectral flux"), InlineData("phase")]
    public void Each_measure_finds_the_seams_that_it_is_for(string? fault)
    {
        var ranks = Rank(fault ?? "without a fault", Enumerable.Range(0, Texts).Select(text => Hum(text, fault)));
        if (fault is null)
        {
            Assert.All(ranks, rank => Assert.InRange(rank, 0.4, 0.6));
        }
        else
        {
            Assert.InRange(ranks[Measures.IndexOf(fault)], 0.8, 1);
        }
    }

    /// <summary>A voice on one note, a little restless, with a fault at three seams: a step that dies away, other strengths of
    /// its harmonics, or other phases.</summary>
    private static Speech Hum(int seed, string? fault)
    {
        const int Harmonics = 10,
            Tokens = 25;
        var random = new Random(seed);
        var (pitch, step) = (100 + (150 * random.NextDouble()), 0.0);
        double[] Draw(double most) => [.. Enumerable.Range(0, Harmonics).Select(_ => most * random.NextDouble())];
        var (strengths, phases) = (Draw(0.05), Draw(2 * Math.PI));
        int[] seams = [.. new[] { 6, 12, 18 }.Select(token => (token * SamplesPerToken) + random.Next(SamplesPerToken))];
        var samples = new float[Tokens * SamplesPerToken];
        for (var i = 0; i < samples.Length; i++)
        {
            if (seams.Contains(i))
            {
                step += fault == "sample step" ? 0.2 : 0;
                strengths = fault == "spectral flux" ? Draw(0.05) : strengths;
                phases = fault == "phase" ? Draw(2 * Math.PI) : phases;
            }

            var turns = (pitch * i / SpeechResult.SampleRate) + (0.3 * Math.Sin(i / 3000.0));
            samples[i] = (float)(
                step
                + (0.002 * (random.NextDouble() - 0.5))
                + Enumerable.Range(0, Harmonics).Sum(k => strengths[k] * Math.Sin((2 * Math.PI * (k + 1) * turns) + phases[k]))
            );
            step *= 0.99;
        }

        return new(samples, seams);
    }

    /// <summary>For each measure, the chance that a seam has more of it than a point in between; one half where a seam is
    /// a point like any other.</summary>
    private static double[] Rank(string what, IEnumerable<Speech> speeches)
    {
        var (atSeams, between) = (new List<double[]>(), new List<double[]>());
        foreach (var (samples, seams) in speeches)
        {
            var points = Enumerable
                .Range(0, samples.Length / SamplesPerToken)
                .Select(token => (token * SamplesPerToken) + (seams[0] % SamplesPerToken))
                .Where(point => point > Margin && point < samples.Length - Margin && seams.All(seam => Math.Abs(seam - point) > Margin));
            var meter = new SeamMeter(samples, Window, Hop);
            atSeams.AddRange(seams.Select(meter.At));
            between.AddRange(points.Select(meter.At));
        }

        double[] ranks =
        [
            .. Measures.Select(
                (_, m) =>
                    atSeams.Average(seam =>
                        between.Average(point =>
                            seam[m] > point[m] ? 1.0
                            : seam[m] < point[m] ? 0
                            : 0.5
                        )
                    )
            ),
        ];
        Close.Report(
            $"{what}: {atSeams.Count} seams have more than {between.Count} points in between, chance by "
                + string.Join(", ", Measures.Zip(ranks, (m, r) => $"{m} {r:0.00}"))
        );
        return ranks;
    }

    /// <param name="Samples">Of the whole.</param>
    /// <param name="Seams">Indices of the first samples behind each seam.</param>
    private sealed record Speech(float[] Samples, int[] Seams);

    /// <summary>What a seam that can be heard has more of than other points.</summary>
    private sealed class SeamMeter(float[] samples, int window, int hop)
    {
        /// <summary>The step from the sample before, against those around it; how much the spectrum changes; and by how
        /// much it is not the one before, turned on as it had been turning.</summary>
        public double[] At(int point)
        {
            using var scope = NewDisposeScope();
            var around = Enumerable.Range(point - 240, 480).Where(i => i != point).Average(i => Math.Abs(samples[i] - samples[i - 1]));
            var step = Math.Abs(samples[point] - samples[point - 1]) / (around + 1e-9);

            // Three spectra: before the point, over it, and behind it.
            var frames = stack([
                .. new[] { -hop, 0, hop }.Select(shift => tensor(samples.AsSpan(point + shift - (window / 2), window).ToArray())),
            ]);
            var spectra = torch.fft.rfft(frames * hann_window(window));
            var (magnitude, phase) = (spectra.abs(), spectra.angle());
            var flux = (magnitude[2] - magnitude[0]).abs().sum() / magnitude.sum();
            var turned = 2 * phase[1] - phase[0];
            var expected = complex(magnitude[1] * turned.cos(), magnitude[1] * turned.sin());
            return [step, flux.item<float>(), ((spectra[2] - expected).abs().sum() / magnitude.sum()).item<float>()];
        }
    }
}
