using Chatterbox.Ops;
using Chatterbox.T3;
using Chatterbox.Tests.Parity;
using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Tests.T3;

public class T3ConditioningTests
{
    [Fact]
    public void The_prefix_is_voice_text_and_start()
    {
        using var llama = TinyT3.Llama();
        using var gpt2 = TinyT3.Gpt2();
        using var scope = NewDisposeScope();

        // Speaker, four Perceiver rows, emotion; start, text, stop; two start tokens; a second row for guidance.
        Assert.Equal([2, 6 + 9 + 2, 16], llama.Model.Prefix(TinyT3.Text, TinyT3.Voice, Settings(llama)).shape);
        Assert.Equal([1, 6 + 9 + 2, 16], llama.Model.Prefix(TinyT3.Text, TinyT3.Voice, Settings(llama) with { CfgWeight = 0 }).shape);

        // Speaker and the prompt as it is; text; start token.
        Assert.Equal([1, 8 + 7 + 1, 16], gpt2.Model.Prefix(TinyT3.Text, TinyT3.Voice, Settings(gpt2)).shape);
    }

    [Fact]
    public void A_voice_without_a_prompt_has_no_rows_for_it()
    {
        using var llama = TinyT3.Llama();
        using var scope = NewDisposeScope();
        Assert.Equal([2, 2 + 9 + 2, 16], llama.Model.Prefix(TinyT3.Text, TinyT3.Voice with { SpeechTokens = [] }, Settings(llama)).shape);
    }

    [Fact]
    public void The_last_voice_is_kept_and_another_is_another()
    {
        using var llama = TinyT3.Llama();
        using var fresh = TinyT3.Llama();
        using var scope = NewDisposeScope();
        var other = TinyT3.Voice with { SpeechTokens = [1, 2, 3] };
        var first = llama.Model.Prefix(TinyT3.Text, TinyT3.Voice, Settings(llama));
        Assert.Equal(first, llama.Model.Prefix(TinyT3.Text, TinyT3.Voice, Settings(llama)));
        var second = llama.Model.Prefix(TinyT3.Text, other, Settings(llama));
        Assert.Equal(fresh.Model.Prefix(TinyT3.Text, other, Settings(fresh)), second);
        Assert.NotEqual(first, second);
        Assert.Equal(first, llama.Model.Prefix(TinyT3.Text, TinyT3.Voice, Settings(llama)));
    }

    [Fact]
    public void Equal_voices_have_equal_rows_wherever_their_numbers_lie()
    {
        using var llama = TinyT3.Of("llama", CpuBackboneTests.Sized);
        using var scope = NewDisposeScope();
        var voice = TinyT3.Voice;
        var first = llama.Model.Prefix(TinyT3.Text, voice, Settings(llama));
        foreach (var hole in Enumerable.Range(0, 64))
        {
            GC.KeepAlive(new byte[8 * hole]); // moves what is allocated next
            var equal = voice with { SpeakerEmbedding = [.. voice.SpeakerEmbedding] };
            Assert.Equal(first, llama.Model.Prefix(TinyT3.Text, equal, Settings(llama)));
        }
    }

    [Fact]
    public void Exaggeration_scales_the_row_of_emotion_only()
    {
        using var llama = TinyT3.Llama();
        using var scope = NewDisposeScope();
        var calm = llama.Model.Prefix(TinyT3.Text, TinyT3.Voice, Settings(llama) with { Exaggeration = 0.5 });
        var lively = llama.Model.Prefix(TinyT3.Text, TinyT3.Voice, Settings(llama) with { Exaggeration = 1.5 });
        Assert.Equal(0, Close.RelativeError(calm.narrow(1, 0, 5), lively.narrow(1, 0, 5)));
        Assert.InRange(Close.RelativeError(calm.select(1, 5) * 3, lively.select(1, 5)), 0, 1e-6);
        Assert.Equal(0, Close.RelativeError(calm.narrow(1, 6, 11), lively.narrow(1, 6, 11)));
    }

    [Fact]
    public void The_unguided_row_has_the_positions_of_the_text_and_nothing_of_it()
    {
        using var llama = TinyT3.Llama();
        using var scope = NewDisposeScope();
        var prefix = llama.Model.Prefix(TinyT3.Text, TinyT3.Voice, Settings(llama));
        var positions = llama.Weights["text_pos_emb"]["emb"].Get("weight", TinyT3.LlamaConfig.TextPositions, 16);
        Assert.Equal(0, Close.RelativeError(positions.narrow(0, 0, 9), prefix[1].narrow(0, 6, 9)));
        Assert.True(Close.RelativeError(positions.narrow(0, 0, 9), prefix[0].narrow(0, 6, 9)) > 0.1);
    }

    [Fact]
    public void The_perceiver_attends_to_the_prompt_and_then_to_itself()
    {
        // Weights so small that the norm's epsilon shows.
        using var llama = TinyT3.Llama(scale: name =>
            name.Contains("query", StringComparison.Ordinal) || name.Contains("proj_out", StringComparison.Ordinal) ? 1e-3f : 1
        );
        using var scope = NewDisposeScope();
        using var noise = new NoiseSource(3);
        var weights = llama.Weights["cond_enc"]["perceiver"];
        var attention = weights["attn"];
        var prompt = noise.Normal([1, 7, 16]) * 1e-3f;

        var query = weights.Get("pre_attention_query", 1, 4, 16);
        var heard = Attend(query, prompt);
        var expected = Attend(heard, heard);
        var actual = new Perceiver(new(Queries: 4, Heads: 2), weights, TorchOps.Plain, 16).Forward(prompt);
        Assert.InRange(Close.RelativeError(expected, actual), 0, 1e-5);

        Tensor Attend(Tensor x, Tensor to)
        {
            var heads = Enumerable
                .Range(0, 2)
                .Select(head =>
                {
                    Tensor Project(string name, Tensor from) =>
                        linear(Norm(from), attention[name].Get("weight", 16, 16), attention[name].Get("bias", 16)).narrow(2, 8 * head, 8);
                    return matmul(
                        softmax(matmul(Project("to_q", x), Project("to_k", to).transpose(1, 2)) / Math.Sqrt(8), -1),
                        Project("to_v", to)
                    );
                });
            return x + linear(cat(heads.ToArray(), 2), attention["proj_out"].Get("weight", 16, 16), attention["proj_out"].Get("bias", 16));
        }

        Tensor Norm(Tensor x)
        {
            var centred = x - x.mean([-1], keepdim: true);
            return centred / (centred.pow(2).mean([-1], keepdim: true) + 1e-5).sqrt() * attention["norm"].Get("weight", 16)
                + attention["norm"].Get("bias", 16);
        }
    }

    public static TheoryData<string, float[], int[]> UnusableVoices =>
        new()
        {
            { "5 numbers", [0, 0, 0, 0, 1], [1] },
            { "not finite", [0, 0, 0, 0, float.NaN, 1], [1] },
            { "10 speech tokens", [0, 0, 0, 0, 0, 1], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] },
            { "token 50;", [0, 0, 0, 0, 0, 1], [1, 50] },
            { "token -1;", [0, 0, 0, 0, 0, 1], [-1] },
        };

    [Theory, MemberData(nameof(UnusableVoices))]
    public void Voices_of_other_sizes_are_refused(string said, float[] speaker, int[] prompt)
    {
        using var tiny = TinyT3.Gpt2();
        var error = Assert.Throws<VoiceException>(() => tiny.Generate(0, voice: new(speaker, prompt)));
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Texts_that_do_not_fit_are_refused()
    {
        using var tiny = TinyT3.Gpt2();
        foreach (var text in new int[][] { [], [.. Enumerable.Repeat(1, 19)], [40], [-1] })
        {
            Assert.Equal("Text", Assert.Throws<RequestException>(() => tiny.Generate(0, text: text)).Parameter);
        }

        tiny.Generate(0, new() { MaxSpeechTokens = 1 }, [.. Enumerable.Repeat(1, 18)]);
    }

    private static SamplingSettings Settings(TinyT3 tiny) => SamplingSettings.Resolve(new(), tiny.Model.Config);
}
