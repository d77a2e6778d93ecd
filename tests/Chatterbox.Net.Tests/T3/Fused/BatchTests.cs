using Chatterbox.T3;
using Chatterbox.T3.Fused;

namespace Chatterbox.Tests.T3.Fused;

/// <summary>Sequences in company on a GPU against the same sequences alone, to the bit: tokens and the logits that they were drawn
/// from.</summary>
public class BatchTests
{
    private static readonly T3Prompt Voice = FusedT3DecoderTests.Voice;

    [Theory]
    [InlineData("llama", 256)]
    [InlineData("llama", 1024)]
    [InlineData("gpt2", 768)]
    [InlineData("gpt2", 1024)]
    public void A_step_of_one_sequence_has_the_same_bits_as_one_kernel_and_as_a_graph(string backbone, int hidden)
    {
        var device = Gpu.Required();
        using var model = TinyT3.Rounded(FusedT3DecoderTests.Config(backbone, hidden), ScalarType.BFloat16, device);
        using var decoder = FusedT3DecoderTests.Decoder(model);
        FusedT3DecoderTests.Choose(decoder, oneKernel: true);
        foreach (var (seed, guidance) in new[] { (1, 0.5), (2, backbone == "llama" ? 0 : 0.5) })
        {
            var options = new SamplingOptions { CfgWeight = backbone == "llama" ? guidance : null, MaxSpeechTokens = 200 };
            decoder.UsesSingleStep = true;
            var single = Speak(decoder, seed, options);
            decoder.UsesSingleStep = false;
            var graph = Speak(decoder, seed, options);
            var firstStep = single
                .Logits.Zip(graph.Logits)
                .Index()
                .FirstOrDefault(pair => !Same(pair.Item.First, pair.Item.Second), (-1, default))
                .Index;
            Assert.True(firstStep < 0, $"{backbone} {hidden}, guidance {guidance}: step {firstStep} differs");
            Assert.Equal(single.Tokens, graph.Tokens);
        }
    }

    [Theory]
    [InlineData("llama", 256, 40)]
    [InlineData("llama", 1024, 24)]
    [InlineData("gpt2", 1024, 64)]
    public void Sequences_that_come_and_go_are_as_alone(string backbone, int hidden, int count)
    {
        var device = Gpu.Required();
        using var model = TinyT3.Rounded(FusedT3DecoderTests.Config(backbone, hidden), ScalarType.BFloat16, device);
        using var decoder = FusedT3DecoderTests.Decoder(model, capacity: 64);
        var random = new Random(11);
        var requests = Enumerable
            .Range(0, count)
            .Select(i =>
                (
                    Seed: i,
                    Options: Options(random, backbone),
                    Text: TinyT3.Text[..random.Next(1, TinyT3.Text.Length)],
                    Cancelled: random.Next(8) == 0
                )
            )
            .ToArray();
        var alone = requests.Select(request => Speak(decoder, request.Seed, request.Options, request.Text).Tokens).ToArray();

        var waiting = new Queue<int>(Enumerable.Range(0, count));
        var open = new List<(int Request, T3Sequence Sequence, NoiseSource Noise)>();
        var spoken = new int[count][];
        while (waiting.Count > 0 || open.Count > 0)
        {
            while (waiting.Count > 0 && open.Count < decoder.Capacity && random.Next(3) > 0)
            {
                var request = waiting.Dequeue();
                var noise = new NoiseSource(requests[request].Seed);
                open.Add((request, decoder.Start(requests[request].Text, Voice, requests[request].Options, noise), noise));
            }

            decoder.Step([.. open.Where(_ => random.Next(10) > 0).Select(one => one.Sequence)]); // some pause
            foreach (
                var one in open.Where(one => one.Sequence.Finished || (requests[one.Request].Cancelled && random.Next(20) == 0)).ToArray()
            )
            {
                spoken[one.Request] = [.. one.Sequence.SpeechTokens];
                one.Sequence.Dispose();
                one.Noise.Dispose();
                open.Remove(one);
            }
        }

        foreach (var (request, tokens) in spoken.Index())
        {
            Assert.Equal(alone[request][..(requests[request].Cancelled ? tokens.Length : alone[request].Length)], tokens);
        }

        Assert.Equal(0, decoder.Pages.InUse);
    }

    private static SamplingOptions Options(Random random, string backbone) =>
        new()
        {
            CfgWeight =
                backbone == "gpt2" ? null
                : random.Next(3) == 0 ? 0
                : random.NextDouble(),
            Temperature = random.Next(5) == 0 ? 0 : 0.3 + random.NextDouble(),
            TopP = 1 - (0.5 * random.NextDouble()),
            RepetitionPenalty = 1 + random.NextDouble(),
            MaxSpeechTokens = random.Next(1, 300),
        };

    private static (int[] Tokens, List<Tensor> Logits) Speak(FusedT3Decoder decoder, int seed, SamplingOptions options, int[]? text = null)
    {
        decoder.Ahead = 0;
        using var noise = new NoiseSource(seed);
        using var sequence = decoder.Start(text ?? TinyT3.Text, Voice, options, noise);
        var logits = new List<Tensor>();
        while (!sequence.Finished)
        {
            decoder.Step(sequence);
            if (sequence.SpeechTokens.Count > 1) // the first is drawn from the logits of the prefill
            {
                logits.Add(decoder.Logits.narrow(0, 0, ((FusedT3Sequence)sequence).Rows).cpu());
            }
        }

        decoder.Ahead = 3;
        return ([.. sequence.SpeechTokens], logits);
    }

    private static bool Same(Tensor x, Tensor y) => x.equal(y).all().item<bool>();
}
