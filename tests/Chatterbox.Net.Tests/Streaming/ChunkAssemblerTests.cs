using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.Streaming;

public sealed class ChunkAssemblerTests
{
    private const int SamplesPerToken = 960;

    [Theory, InlineData("tiny"), InlineData("tiny-multilingual"), InlineData("tiny-turbo")]
    public void Sound_stays_behind_the_tokens_by_the_lag_and_ends_with_them(string model)
    {
        using var tiny = new TinySpeechDecoder(model);
        using var assembler = tiny.Speak(seed: 1, leftContext: 20);
        var tokens = tiny.Tokens(1, 40);
        Assert.Empty(assembler.Next(tokens[..(assembler.Lag - 1)], last: false, CancellationToken.None));
        var made = 0;
        foreach (var known in new[] { assembler.Lag, assembler.Lag + 1, assembler.Lag + 7, 39 })
        {
            made += assembler.Next(tokens[..known], last: false, CancellationToken.None).Length;
            Assert.InRange(made, (known - assembler.Lag) * SamplesPerToken, (known - assembler.Lag + 1) * SamplesPerToken);
        }

        made += assembler.Next(tokens, last: true, CancellationToken.None).Length;
        Assert.Equal((40 + tiny.Config.TailTokens.Count - tiny.Config.CutTokens) * SamplesPerToken, made);
    }

    [Theory, InlineData("tiny"), InlineData("tiny-turbo")]
    public void Mel_is_near_the_wholes_and_nearer_the_more_a_pass_sees(string model)
    {
        using var tiny = new TinySpeechDecoder(model);
        var tokens = tiny.Tokens(2, 60);
        var whole = Mel(1000, 60);
        var errors = new[] { (0, 6), (0, 20), (1000, 6), (1000, 20) }
            .Select(cut =>
            {
                using var scope = NewDisposeScope();
                var error = Close.RelativeError(whole, Mel(cut.Item1, cut.Item2));
                Close.Report($"{model}: left context {cut.Item1}, chunks of {cut.Item2}: mel error {error:E2}");
                return error;
            })
            .ToArray();
        whole.Dispose();
        Assert.InRange(errors[3], 0, 0.1); // of weights that attend to everything alike
        Assert.Equal(errors.OrderDescending(), errors);

        Tensor Mel(int leftContext, int chunk)
        {
            using var scope = NewDisposeScope();
            using var noise = new NoiseSource(1);
            using var stream = tiny.SpeechDecoder.S3Gen.OpenStream(tiny.Voice.S3Gen, noise, leftContext);
            var settled = new List<Tensor>();
            long from = 0;
            for (var known = Math.Min(60, 13 + chunk); ; known = Math.Min(60, known + chunk))
            {
                var mel = stream.Next(tokens[..known], from, last: known == 60);
                var made = known == 60 ? mel.shape[2] : Math.Max(0, mel.shape[2] - tiny.SpeechDecoder.HiFT.Lookahead);
                settled.Add(mel.narrow(2, 0, made));
                from += made;
                if (known == 60)
                {
                    return cat([.. settled], 2).MoveToOuterDisposeScope();
                }
            }
        }
    }

    [Theory, InlineData("tiny"), InlineData("tiny-turbo")]
    public void Chunks_of_40_s_of_speech_cost_no_more_for_what_lies_before_them(string model)
    {
        using var tiny = new TinySpeechDecoder(model);
        using var assembler = tiny.Speak(seed: 1, leftContext: 50);
        var tokens = tiny.Tokens(3, 1000);
        var (passes, tensors, bytes, made) = (new HashSet<int>(), new List<long>(), new List<long>(), 0);
        for (var known = 50; known < 1000; known += 50)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            made += assembler.Next(tokens[..known], last: false, CancellationToken.None).Length;
            if (known > 150)
            {
                passes.Add(assembler.PassTokens);
                tensors.Add(Tensor.TotalCount);
                bytes.Add(GC.GetAllocatedBytesForCurrentThread() - before);
            }
        }

        made += assembler.Next(tokens, last: true, CancellationToken.None).Length;
        Assert.Equal((1000 + tiny.Config.TailTokens.Count) * SamplesPerToken, made);
        Assert.Equal(tiny.Voice.S3Gen.SpeechTokens.Count + 50 + 50 + 13 - 3, passes.Single()); // the look ahead is no frames
        Assert.InRange(tensors[^1], 0, tensors[0]); // fewer where what other tests left is collected meanwhile
        Assert.InRange(bytes[^1], 0, 1.1 * bytes[0]);
    }
}
