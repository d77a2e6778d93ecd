using Chatterbox.Ops.Cpu;
using Chatterbox.T3;
using CsCheck;

namespace Chatterbox.Tests.T3;

/// <summary>Sequences that are stepped together on the CPU's fast steps.</summary>
public class CpuT3DecoderTests
{
    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    public void A_sequence_says_the_same_alone_and_in_any_company(string backbone)
    {
        using var tiny = TinyT3.Of(backbone, CpuBackboneTests.Sized, cpuFormat: WeightFormat.Int8);
        using var decoder = tiny.Model.CreateDecoder(capacity: 24);
        var alone = Enumerable.Range(0, 24).Select(seed => Generate(tiny, seed)).ToArray();
        Assert.True(alone.Select(tokens => string.Join(' ', tokens)).Distinct().Count() > 20);

        // Each sequence joins at a step of its own; with guidance, most batches have more than one group of rows.
        Gen.Int[0, 12]
            .Array[24]
            .Sample(
                joins =>
                {
                    var (open, done) = (new Dictionary<int, (T3Sequence Sequence, NoiseSource Noise)>(), 0);
                    for (var step = 0; done < joins.Length; step++)
                    {
                        foreach (var seed in Enumerable.Range(0, joins.Length).Where(seed => joins[seed] == step))
                        {
                            var noise = new NoiseSource(seed);
                            open[seed] = (decoder.Start(TinyT3.Text, TinyT3.Voice, Sampling(seed), noise), noise);
                        }

                        decoder.Step([.. open.Values.Select(entry => entry.Sequence)]);
                        foreach (var (seed, (sequence, noise)) in open.Where(entry => entry.Value.Sequence.Finished).ToList())
                        {
                            Assert.Equal(alone[seed], sequence.SpeechTokens);
                            sequence.Dispose();
                            noise.Dispose();
                            open.Remove(seed);
                            done++;
                        }
                    }
                },
                iter: 3,
                threads: 1
            );
    }

    private static int[] Generate(TinyT3 tiny, int seed)
    {
        using var noise = new NoiseSource(seed);
        using var decoder = tiny.Model.CreateDecoder();
        return decoder.Generate(TinyT3.Text, TinyT3.Voice, Sampling(seed), noise).SpeechTokens;
    }

    private static SamplingOptions Sampling(int seed) => new() { MaxSpeechTokens = 5 + (seed % 17), Temperature = 1 };
}
