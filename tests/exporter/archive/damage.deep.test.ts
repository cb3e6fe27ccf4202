import { describeDamage } from "./damage";

describeDamage(4000, 1);
