namespace Chatterbox.T3.Blocks;

/// <summary>How many tokens of a block each pass takes at least.</summary>
internal static class UnmaskSchedule
{
    /// <summary>Shares a block's tokens among its passes.</summary>
    /// <remarks>Ports _omnivoice_unmask_schedule of chatterbox_flash model.py: the curve r(s) = shift·s / (1 + (shift − 1)·s), rounded half
    /// to
    /// even.</remarks>
    /// <param name="length">Tokens of the block.</param>
    /// <param name="passes">Passes.</param>
    /// <param name="shift">1 is even, less leaves more to later passes; 0 is even too, with the rest in the last pass.</param>
    public static int[] Of(int length, int passes, double shift)
    {
        var shares = new int[passes];
        var taken = 0;
        for (var pass = 0; pass < passes - 1; pass++)
        {
            var by = (pass + 1) / (double)passes;
            shares[pass] =
                shift <= 0
                    ? length / passes
                    : Math.Clamp(
                        (int)Math.Round(length * (shift * by / (1 + ((shift - 1) * by))), MidpointRounding.ToEven) - taken,
                        0,
                        length - taken
                    );
            taken += shares[pass];
        }

        shares[^1] = length - taken;
        return shares;
    }
}
