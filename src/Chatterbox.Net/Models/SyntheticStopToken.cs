using Chatterbox.T3;

namespace Chatterbox.Models;

/// <summary>
/// What a small T3 stops by. Random weights never say the stop token, so one hidden dimension is kept as a clock that
/// counts speech tokens: only the stop token's row of the head reads it, and overtakes the others around <see cref="StopPosition"/>.
/// </summary>
internal abstract class SyntheticStopToken(T3Config config)
{
    /// <summary>Speech tokens after which the stop token is about as likely as others.</summary>
    protected const int StopPosition = 40;

    /// <summary>The variant.</summary>
    protected T3Config Config { get; } = config;

    /// <summary>The clock that fits a variant's positions.</summary>
    public static SyntheticStopToken Of(T3Config config) =>
        config.InBlocks ? new SpeechShareClock(config)
        : config.LearnedPositions ? new SpeechPositionClock(config)
        : new StartTokenClock(config);

    /// <summary>Changes a tensor of T3 where the clock needs it; tensors of other networks stay.</summary>
    public abstract void PutInto(string name, Tensor tensor);

    private protected static bool IsOf(string name, string start, params ReadOnlySpan<string> ends)
    {
        foreach (var end in ends)
        {
            if (name.StartsWith(start, StringComparison.Ordinal) && name.EndsWith(end, StringComparison.Ordinal))
            {
                return true;
            }
        }

        return false;
    }
}

/// <summary>The clock of models with a learned table of speech positions, which is all that writes to it.</summary>
internal sealed class SpeechPositionClock(T3Config config) : SyntheticStopToken(config)
{
    private const float Step = 0.2f; // a position, in units of the residual stream
    private const float StopGain = 6f;

    /// <inheritdoc/>
    public override void PutInto(string name, Tensor tensor)
    {
        switch (name)
        {
            case "speech_pos_emb.emb.weight":
                tensor[.., -1] = Arithmetic.Range(0, tensor.shape[0]).Sub(StopPosition).Mul(Step);
                break;
            case "speech_head.weight":
                tensor[.., -1] = zeros([]);
                tensor[Config.StopSpeechToken] = zeros([]);
                tensor[Config.StopSpeechToken, -1] = torch.tensor(StopGain);
                break;
            case "speech_emb.weight":
                tensor[.., -1] = zeros([]);
                break;
            default:
                if (IsOf(name, "tfmr.layers.", "o_proj.weight", "down_proj.weight"))
                {
                    tensor[-1] = zeros([]);
                }

                break;
        }
    }
}

/// <summary>The clock of models whose speech comes in blocks, in each of which positions begin again: it is the share of speech tokens in
/// all
/// that is seen, so that longer texts have longer speech.</summary>
/// <remarks>Two dimensions are kept: the clock, and a mark, which speech tokens alone have. The first channel of the first layer's first
/// head
/// sees all places alike, and writes the mean of their marks to the clock.</remarks>
internal sealed class SpeechShareClock(T3Config config) : SyntheticStopToken(config)
{
    private const float Mark = 12f;
    private const float MarkAfterNorm = 0.9f * Mark;
    private const float StopShare = 0.65f;
    private const float StopGain = 30f;

    /// <inheritdoc/>
    public override void PutInto(string name, Tensor tensor)
    {
        const string Attention = "tfmr.layers.0.self_attn.";
        switch (name)
        {
            case "speech_emb.weight":
                Clear(tensor);
                tensor[.., -2] = torch.tensor(Mark);
                break;
            case "speech_head.weight":
                Clear(tensor);
                tensor[Config.StopSpeechToken] = zeros([]);
                tensor[Config.StopSpeechToken, -1] = torch.tensor(StopGain);
                tensor[Config.StopSpeechToken, -2] = torch.tensor(-StopGain * StopShare * MarkAfterNorm / Mark);
                break;
            case Attention + "q_proj.weight":
                tensor.narrow(0, 0, Config.Backbone.HeadDim).zero_();
                break;
            case Attention + "v_proj.weight":
                tensor[0] = zeros([]);
                tensor[0, -2] = ones([]);
                break;
            case Attention + "o_proj.weight":
                Clear(tensor.t());
                tensor[-1, 0] = ones([]);
                break;
            case "text_emb.weight"
            or "text_pos_emb.emb.weight"
            or "speech_pos_emb.emb.weight"
            or "cond_enc.perceiver.pre_attention_query"
            or "cond_enc.spkr_enc.bias"
            or "cond_enc.perceiver.attn.proj_out.bias":
                Clear(tensor);
                break;
            case "cond_enc.spkr_enc.weight" or "cond_enc.emotion_adv_fc.weight" or "cond_enc.perceiver.attn.proj_out.weight":
                Clear(tensor.t());
                break;
            default:
                if (IsOf(name, "tfmr.layers.", "o_proj.weight", "down_proj.weight"))
                {
                    Clear(tensor.t());
                }
                else if (IsOf(name, "tfmr.", "norm.weight"))
                {
                    tensor.narrow(0, Config.Backbone.HiddenSize - 2, 2).Fill(1);
                }

                break;
        }
    }

    private static void Clear(Tensor tensor) => tensor.narrow(-1, tensor.shape[^1] - 2, 2).zero_();
}

/// <summary>The clock of models whose positions count over the whole sequence: speech begins at another one each time.</summary>
/// <remarks>
/// Three dimensions are kept: the clock, to which the table of positions writes; a mark, which only the start of speech has,
/// and so much of it that a norm there divides by a known number; and one that is always zero, from which the others are
/// told in spite of a norm's mean. The first channel of the first layer's first head looks for the mark. It
/// finds the start's position there, which is taken off the clock. Nothing before the start of speech sees the mark.
/// </remarks>
internal sealed class StartTokenClock(T3Config config) : SyntheticStopToken(config)
{
    private const float Step = 0.005f; // a position: little, so that the norms of long sequences do not feel it
    private const float Mark = 30f;
    private const float StopGain = 120f;
    private const float Attention = 100f;

    private readonly Index _clock = ^1;
    private readonly Index _zero = ^2;
    private readonly Index _mark = ^3;

    private int Hidden => Config.Backbone.HiddenSize;

    /// <summary>What a norm divides the start of speech by, where all but the mark is small.</summary>
    private float NormOfStart => Mark * MathF.Sqrt(Hidden - 1) / Hidden;

    /// <inheritdoc/>
    public override void PutInto(string name, Tensor tensor)
    {
        switch (name)
        {
            case "tfmr.wpe.weight":
                Clear(tensor);
                At(tensor, _clock).copy_(Arithmetic.Range(0, tensor.shape[0]).Mul(Step));
                break;
            case "speech_emb.weight":
                Clear(tensor);
                At(tensor, _mark)[Config.StartSpeechToken] = torch.tensor(Mark);
                break;
            case "speech_head.weight":
                Clear(tensor);
                tensor[Config.StopSpeechToken] = zeros([]);
                At(tensor[Config.StopSpeechToken], _clock).Fill(StopGain);
                At(tensor[Config.StopSpeechToken], _zero).Fill(-StopGain);
                At(tensor[Config.StopSpeechToken], _mark).Fill(-StopGain);
                break;
            case "tfmr.h.0.attn.c_attn.weight":
                Channel(tensor).zero_();
                At(tensor.narrow(1, Hidden, 1).t(), _mark).Fill(Attention); // key
                At(tensor.narrow(1, 2 * Hidden, 1).t(), _clock).Fill(1); // value
                At(tensor.narrow(1, 2 * Hidden, 1).t(), _zero).Fill(-1);
                break;
            case "tfmr.h.0.attn.c_attn.bias":
                Channel(tensor).zero_();
                tensor[0] = ones([]); // query
                break;
            case "tfmr.h.0.attn.c_proj.weight":
                Clear(tensor);
                tensor[0] = zeros([]);
                At(tensor[0], _clock).Fill(-NormOfStart);
                break;
            case "tfmr.h.0.attn.c_proj.bias":
                Clear(tensor);
                At(tensor, _clock).Fill(-StopPosition * Step);
                break;
            case "text_emb.weight":
                Clear(tensor);
                break;
            case "cond_enc.spkr_enc.weight":
                Clear(tensor.t());
                break;
            case "cond_enc.spkr_enc.bias":
                Clear(tensor);
                break;
            default:
                if (IsOf(name, "tfmr.h.", "c_proj.weight", "c_proj.bias"))
                {
                    Clear(tensor);
                }
                else if (IsOf(name, "tfmr.", "ln_1.weight", "ln_f.weight"))
                {
                    tensor.narrow(-1, Hidden - 3, 3).Fill(1);
                }
                else if (IsOf(name, "tfmr.", "ln_1.bias", "ln_f.bias"))
                {
                    Clear(tensor);
                }

                break;
        }
    }

    /// <summary>The first channel of queries, keys and values.</summary>
    private Tensor Channel(Tensor qkv) => qkv.unflatten(qkv.dim() - 1, [3, Hidden]).select(-1, 0);

    private void Clear(Tensor tensor) => tensor.narrow(-1, Hidden - 3, 3).zero_();

    private static Tensor At(Tensor tensor, Index dimension) => tensor.select(-1, dimension.GetOffset((int)tensor.shape[^1]));
}
