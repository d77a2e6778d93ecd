using Chatterbox.T3.Blocks;

namespace Chatterbox.Tests.T3.Blocks;

public class UnmaskScheduleTests
{
    [Theory]
    [InlineData(16, 10, 0.5, new[] { 1, 1, 1, 1, 1, 2, 2, 2, 2, 3 })]
    [InlineData(8, 10, 0.5, new[] { 0, 1, 0, 1, 1, 0, 1, 1, 2, 1 })]
    [InlineData(32, 6, 0.5, new[] { 3, 3, 5, 5, 7, 9 })]
    [InlineData(32, 4, 1, new[] { 8, 8, 8, 8 })]
    [InlineData(10, 4, 1, new[] { 2, 3, 3, 2 })] // 2.5 and 7.5 are rounded half to even
    [InlineData(10, 3, 0, new[] { 3, 3, 4 })]
    [InlineData(3, 10, 0, new[] { 0, 0, 0, 0, 0, 0, 0, 0, 0, 3 })]
    [InlineData(7, 1, 0.5, new[] { 7 })]
    [InlineData(1, 3, 10, new[] { 1, 0, 0 })]
    public void The_shares_are_the_references(int length, int passes, double shift, int[] expected) =>
        Assert.Equal(expected, UnmaskSchedule.Of(length, passes, shift));

    [Fact]
    public void All_of_a_block_is_shared_out()
    {
        foreach (var length in Enumerable.Range(1, 40))
        {
            foreach (var shift in new[] { 0, 0.1, 0.5, 1, 3, 10 })
            {
                var shares = UnmaskSchedule.Of(length, 7, shift);
                Assert.Equal(length, shares.Sum());
                Assert.All(shares, share => Assert.True(share >= 0));
            }
        }
    }
}
