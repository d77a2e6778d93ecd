using Chatterbox.Engine;
using CsCheck;

namespace Chatterbox.Tests.Engine;

public class FairShareTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(3, 2)]
    [InlineData(64, 33)]
    public void A_single_client_gets_half_of_the_places(int capacity, int most) => Assert.Equal(most, Fill(capacity, [0]));

    [Fact]
    public void Clients_who_come_one_after_another_each_get_half_of_what_is_free()
    {
        var taken = 0;
        foreach (var expected in new[] { 33, 16, 8, 4, 2, 1 })
        {
            var own = Fill(64, [taken]);
            Assert.Equal(expected, own);
            taken += own;
        }

        Assert.Equal(64, taken);
    }

    [Fact]
    public void A_client_without_a_place_gets_one_while_there_are_fewer_others_than_the_places_halve() =>
        Gen.Int[1, 1000]
            .Select(Gen.Int[0, 9], Gen.Int[0, 9].List[0, 3000])
            .Sample(
                (capacity, newcomer, arrivals) =>
                {
                    var own = new int[10];
                    foreach (var client in arrivals.Where(client => client != newcomer))
                    {
                        own[client] += FairShare.Allows(capacity, own.Sum(), own[client]) ? 1 : 0;
                    }

                    var others = own.Count(places => places > 0);
                    Assert.True(own.Sum() <= capacity);
                    Assert.True(
                        capacity >> others < 2 || FairShare.Allows(capacity, own.Sum(), 0),
                        $"{others} others left nothing of {capacity}: {string.Join(' ', own)}"
                    );
                }
            );

    /// <summary>Places that a client can take after others have taken some.</summary>
    private static int Fill(int capacity, int[] others)
    {
        var own = 0;
        while (FairShare.Allows(capacity, others.Sum() + own, own))
        {
            own++;
        }

        return own;
    }
}
