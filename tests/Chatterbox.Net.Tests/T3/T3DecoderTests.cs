using Chatterbox.T3;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.T3;

public class T3DecoderTests
{
    private static readonly SamplingOptions Short = new() { MaxSpeechTokens = 20, Temperature = 1 };

    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    public void The_same_seed_gives_the_same_speech_and_another_another(string backbone)
    {
        using var tiny = Endless(backbone);
        Assert.Equal(tiny.Generate(1, Short).SpeechTokens, tiny.Generate(1, Short).SpeechTokens);
        Assert.NotEqual(tiny.Generate(1, Short).SpeechTokens, tiny.Generate(2, Short).SpeechTokens);
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    public void Sequences_stepped_in_mixture_are_as_each_alone(string backbone)
    {
        using var tiny = Endless(backbone);
        using var decoder = new PlainT3Decoder(tiny.Model, capacity: 2);
        using var firstNoise = new NoiseSource(1);
        using var secondNoise = new NoiseSource(2);

        using var first = decoder.Start(TinyT3.Text, TinyT3.Voice, Short, firstNoise);
        decoder.Step(first);
        decoder.Step(first);
        using var second = decoder.Start(TinyT3.Text, TinyT3.Voice, Short with { MaxSpeechTokens = 40 }, secondNoise); // the cache grows
        while (!second.Finished)
        {
            decoder.Step(first, second);
        }

        Assert.Equal(tiny.Generate(1, Short).SpeechTokens, first.SpeechTokens);
        Assert.Equal(tiny.Generate(2, Short).SpeechTokens, second.SpeechTokens.Take(20));
        Assert.Equal(40, second.SpeechTokens.Count);
    }

    [Fact]
    public void A_place_is_free_again_once_its_sequence_is_disposed()
    {
        using var tiny = TinyT3.Llama();
        using var decoder = new PlainT3Decoder(tiny.Model, capacity: 1);
        using var noise = new NoiseSource(1);
        var sequence = decoder.Start(TinyT3.Text, TinyT3.Voice, Short, noise);
        Assert.Throws<InvalidOperationException>(() => decoder.Start(TinyT3.Text, TinyT3.Voice, Short, noise));
        sequence.Dispose();
        sequence.Dispose();
        using var next = decoder.Start(TinyT3.Text, TinyT3.Voice, Short, noise);
        Assert.Throws<InvalidOperationException>(() => decoder.Start(TinyT3.Text, TinyT3.Voice, Short, noise));
    }

    [Fact]
    public void A_refused_request_takes_no_place()
    {
        using var tiny = TinyT3.Llama();
        using var decoder = new PlainT3Decoder(tiny.Model, capacity: 1);
        using var noise = new NoiseSource(1);
        Assert.Throws<RequestException>(() => decoder.Start([], TinyT3.Voice, Short, noise));
        decoder.Start(TinyT3.Text, TinyT3.Voice, Short, noise).Dispose();
    }

    [Fact]
    public void Without_guidance_the_text_alone_decides()
    {
        using var tiny = TinyT3.Llama();
        using var decoder = new PlainT3Decoder(tiny.Model, capacity: 2);
        using var noise = new NoiseSource(1);
        using var guided = decoder.Start(TinyT3.Text, TinyT3.Voice, Short, noise);
        using var plain = decoder.Start(TinyT3.Text, TinyT3.Voice, Short with { CfgWeight = 0 }, noise);
        using var scope = NewDisposeScope();
        Assert.Equal([1, 60], plain.Logits.shape);
        Assert.InRange(Close.RelativeError(guided.Logits.narrow(0, 0, 1), plain.Logits), 0, 1e-5);
        Assert.True(Close.RelativeError(guided.Logits.narrow(0, 1, 1), plain.Logits) > 1e-3);
        decoder.Step(plain);
        decoder.Step(plain);
        Assert.Equal(2, plain.SpeechTokens.Count);
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    public void The_limit_is_reported(string backbone)
    {
        using var tiny = Endless(backbone);
        var result = tiny.Generate(1, Short);
        Assert.Equal(20, result.SpeechTokens.Length);
        Assert.True(result.ReachedLimit);
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    public void The_stop_token_ends_the_speech_and_is_kept(string backbone)
    {
        int[] spoken;
        using (var endless = Endless(backbone))
        {
            spoken = endless.Generate(1, Short).SpeechTokens;
        }

        using var tiny = TinyT3.Of(backbone, config => config with { StopSpeechToken = spoken[5] });
        var result = tiny.Generate(1, Short);
        Assert.Equal(spoken[..(Array.IndexOf(spoken, spoken[5]) + 1)], result.SpeechTokens);
        Assert.False(result.ReachedLimit);
    }

    [Fact]
    public void A_stop_token_at_the_limit_is_no_cut()
    {
        int[] spoken;
        using (var endless = Endless("llama"))
        {
            spoken = endless.Generate(1, Short).SpeechTokens;
        }

        var stop = Enumerable.Range(1, 19).First(i => Array.IndexOf(spoken, spoken[i]) == i);
        using var tiny = TinyT3.Llama(TinyT3.LlamaConfig with { StopSpeechToken = spoken[stop] });
        Assert.False(tiny.Generate(1, Short with { MaxSpeechTokens = stop + 1 }).ReachedLimit);
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    public void Half_width_weights_give_nearly_the_same_logits(string backbone)
    {
        using var tiny = Endless(backbone);
        using var half = TinyT3.Of(backbone, config => config with { StopSpeechToken = -1 }, dtype: ScalarType.BFloat16);
        Assert.Equal(20, half.Generate(1, Short).SpeechTokens.Length);

        using var decoder = new PlainT3Decoder(tiny.Model, capacity: 1);
        using var halfDecoder = new PlainT3Decoder(half.Model, capacity: 1);
        using var noise = new NoiseSource(1);
        using var sequence = decoder.Start(TinyT3.Text, TinyT3.Voice, Short, noise);
        using var halfSequence = halfDecoder.Start(TinyT3.Text, TinyT3.Voice, Short, noise);
        Assert.InRange(Close.RelativeError(sequence.Logits, halfSequence.Logits), 1e-6, 2e-2);
    }

    [Fact]
    public void Greedy_speech_needs_no_seed()
    {
        using var tiny = Endless("llama");
        Assert.Equal(
            tiny.Generate(1, Short with { Temperature = 0 }).SpeechTokens,
            tiny.Generate(2, Short with { Temperature = 0 }).SpeechTokens
        );
    }

    [Fact]
    public void Cancelling_ends_the_work_before_the_next_token()
    {
        using var tiny = Endless("llama");
        using var noise = new NoiseSource(1);
        using var cancellationToken = new CancellationTokenSource();
        var told = new List<int>();
        var progress = new Told(count =>
        {
            told.Add(count);
            if (count == 3)
            {
                cancellationToken.Cancel();
            }
        });

        using var decoder = tiny.Model.CreateDecoder();
        Assert.Throws<OperationCanceledException>(() =>
            decoder.Generate(TinyT3.Text, TinyT3.Voice, Short, noise, progress, cancellationToken.Token)
        );
        Assert.Equal([1, 2, 3], told);
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    public void Nothing_is_left_behind(string backbone)
    {
        using var tiny = Endless(backbone);
        tiny.Generate(1, Short);
        var before = LiveTensors.Settled();
        tiny.Generate(1, Short);
        Assert.Equal(before, Tensor.TotalCount);
    }

    [Fact]
    public void The_longest_text_and_speech_fit_the_tables()
    {
        foreach (var backbone in new[] { "llama", "gpt2" })
        {
            using var tiny = Endless(backbone);
            var voice = TinyT3.Voice with { SpeechTokens = [.. Enumerable.Range(0, 9)] };
            var longest = tiny.Generate(1, new() { MaxSpeechTokens = 44 }, [.. Enumerable.Repeat(7, 18)], voice);
            Assert.Equal(44, longest.SpeechTokens.Length);
        }
    }

    /// <summary>A model whose stop token does not exist.</summary>
    private static TinyT3 Endless(string backbone) => TinyT3.Of(backbone, config => config with { StopSpeechToken = -1 });

    private sealed class Told(Action<int> tell) : IProgress<int>
    {
        public void Report(int value) => tell(value);
    }
}
